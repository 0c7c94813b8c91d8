# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The residual kernel alone against a copy: both do little but move memory, so their bandwidths are comparable."""

from collections.abc import Callable
from functools import partial

import torch

from benchmarks.inputs import make_inputs
from benchmarks.measure import QUANTILES
from benchmarks.record import Case, Measurement, Size, measurements, ratios
from verl_resrl.algorithm.residual import residual_and_alignment
from verl_resrl.algorithm.subspace import fit_subspaces

SIZE = Size(64, 16, 512, 2560, 64, torch.bfloat16)
COPY = "copy"
KERNELS = {"resrl": "auto", "resrl torch": "torch"}  # method: backend


def residual_cases(device: str) -> list[Case]:
    """List the one problem; none without a GPU.

    Args:
        device: ``cuda`` or ``cpu``.
    """
    name = f"{SIZE.tokens} tokens, {SIZE.dtype_name}"
    return [Case("residual", name, partial(measure, name, SIZE))] if device == "cuda" else []


def measure(case: str, size: Size) -> list[Measurement]:
    """Time a copy of the hidden states and the residual kernels on them.

    Args:
        case: of the measurements.
        size: of the problem.

    Returns:
        Time and bandwidth of the copy and of every kernel, and the kernels' ratios to the copy's.
    """
    inputs = make_inputs(size, "cuda")
    hidden = inputs.hidden
    positive = torch.nonzero(inputs.is_positive[inputs.sequence_ids]).squeeze(1)
    rows = torch.arange(len(hidden), device="cuda")  # the tokens lie group after group
    counts = torch.full((size.groups,), size.rollouts * size.response_tokens, device="cuda")
    subspaces = fit_subspaces(hidden, positive, counts // 2, size.k).subspaces
    copy = torch.empty_like(hidden)

    def kernel(backend: str) -> Callable[[], object]:
        return lambda: residual_and_alignment(hidden, rows, counts, subspaces, backend=backend)

    copied = _bandwidth(lambda: copy.copy_(hidden), 2 * hidden.nbytes)
    result = measurements("residual", case, COPY, size, copied)
    for method, backend in KERNELS.items():
        values = _bandwidth(kernel(backend), bytes_moved(size))
        result += measurements("residual", case, method, size, values)
    return result + ratios(result, COPY)


def bytes_moved(size: Size) -> int:
    """Count what a kernel cannot avoid to move: each hidden state once, and e and a in float32.

    Args:
        size: of the problem.

    Returns:
        Bytes.
    """
    return size.tokens * (size.d * size.dtype.itemsize + 2 * torch.float32.itemsize)


def _bandwidth(call: Callable[[], object], moved: int) -> dict[str, float]:
    from triton.testing import do_bench  # not on every machine without a GPU

    milliseconds = do_bench(call, quantiles=list(QUANTILES.values()))
    values = {name: value / 1e3 for name, value in zip(QUANTILES, milliseconds, strict=True)}
    return values | {"bytes_per_second": moved / values["seconds"]}
