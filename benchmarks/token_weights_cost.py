# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Token weights end to end: the package against the eager method, and both against exact weights.

On a GPU the package is measured twice, with the backend that it chooses itself and with its PyTorch one.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from benchmarks import exact
from benchmarks.eager import eager_token_weights
from benchmarks.inputs import Inputs, make_inputs
from benchmarks.measure import interleaved_seconds, peak_bytes
from benchmarks.record import Case, Measurement, Size, measurements, ratios
from verl_resrl import ResRLConfig, token_weights

OURS, OURS_TORCH, EAGER = "resrl", "resrl torch", "eager"
# by device; the groups of the last one have as many positive tokens as enter a subspace
SIZES = {
    "cuda": (Size(32, 4, 1000, 2560, 64, torch.bfloat16), Size(64, 16, 512, 2560, 64, torch.bfloat16)),
    "cpu": tuple(
        Size(*shape, d, 64, dtype)
        for shape in ((4, 8, 256), (3, 4, 768))
        for d in (512, 1024, 2048, 4096)
        for dtype in (torch.float32, torch.bfloat16)
    ),
}
EXACT_GROUPS = {"cuda": 4, "cpu": 2}  # a float64 SVD takes seconds a group
REPEATS = {"cuda": 20, "cpu": 9}

GROWTH_BASE = {"cuda": Size(32, 8, 512, 2560, 64, torch.bfloat16), "cpu": Size(4, 8, 128, 512, 32, torch.float32)}
# tokens and groups are changed by the length of the responses
GROWTH = {
    "cuda": {
        "tokens": (32768, 65536, 131072, 262144),
        "groups": (16, 32, 64, 128, 256),
        "d": (1024, 2048, 2560, 4096),
        "k": (16, 32, 64, 128),
    },
    "cpu": {
        "tokens": (2048, 4096, 8192, 16384),
        "groups": (2, 4, 8, 16, 32),
        "d": (256, 512, 1024, 2048),
        "k": (8, 16, 32, 64),
    },
}
GROWTH_REPEATS = {"cuda": 10, "cpu": 7}


def weight_cases(device: str) -> list[Case]:
    """List the problems on which methods are compared in time, memory and error.

    Args:
        device: ``cuda`` or ``cpu``.
    """
    cases = []
    for size in SIZES[device]:
        name = f"{size.groups} x {size.rollouts} x {size.response_tokens} tokens, d {size.d}, {size.dtype_name}"
        measure = partial(
            compare, "weights", name, size, device, repeats=REPEATS[device], exact_groups=EXACT_GROUPS[device]
        )
        cases.append(Case("weights", name, measure))
    return cases


def growth_cases(device: str) -> list[Case]:
    """List the problems along the four axes; the case of a measurement is its axis.

    Args:
        device: ``cuda`` or ``cpu``.
    """
    return [
        Case(
            "growth",
            f"{axis} {value}",
            partial(
                compare,
                "growth",
                axis,
                grown(GROWTH_BASE[device], axis, value),
                device,
                repeats=GROWTH_REPEATS[device],
            ),
        )
        for axis, values in GROWTH[device].items()
        for value in values
    ]


def grown(base: Size, axis: str, value: int) -> Size:
    """Change one property of a problem.

    Args:
        base: the problem.
        axis: ``tokens`` (groups stay), ``groups`` (tokens in all stay), ``d`` or ``k``.
        value: of that property.

    Returns:
        Size.
    """
    if axis == "tokens":
        return replace(base, response_tokens=value // (base.groups * base.rollouts))
    if axis == "groups":
        return replace(base, groups=value, response_tokens=base.tokens // (value * base.rollouts))
    return replace(base, d=value) if axis == "d" else replace(base, k=value)


def compare(
    question: str, case: str, size: Size, device: str, repeats: int, exact_groups: int = 0
) -> list[Measurement]:
    """Measure all methods on one problem.

    Args:
        question: of the measurements.
        case: of the measurements.
        size: of the problem.
        device: ``cuda`` or ``cpu``.
        repeats: timed calls of each method.
        exact_groups: groups whose weights are compared with exact ones.

    Returns:
        Time, peak memory and, with exact groups, mean and largest error of each method, and their ratios to the eager
        method's.
    """
    inputs = make_inputs(size, device)
    calls = methods(inputs, ResRLConfig(rank=size.k), device)
    values = interleaved_seconds(calls, repeats)
    for method, call in calls.items():
        values[method]["peak_bytes"] = peak_bytes(call, device, 1 if method == EAGER else size.groups)
    if exact_groups:
        few = inputs.first_groups(exact_groups)
        negative = ~few.is_positive[few.sequence_ids].cpu().numpy()
        truth = exact_weights(few, size.k)
        for method, call in methods(few, ResRLConfig(rank=size.k), device).items():
            error = np.abs(call().double().cpu().numpy() - truth)[negative]
            values[method] |= {"weight_error_mean": float(error.mean()), "weight_error_max": float(error.max())}
    rows = [row for method in calls for row in measurements(question, case, method, size, values[method])]
    return rows + ratios(rows, EAGER)


def methods(inputs: Inputs, config: ResRLConfig, device: str) -> dict[str, Callable[[], Tensor]]:
    """Return every method that this device has, as a call that returns the (num_tokens,) float32 weights."""
    calls: dict[str, Callable[[], Tensor]] = {
        OURS: lambda: token_weights(*inputs.arguments, config=config).weights,
        EAGER: lambda: eager_token_weights(*inputs.arguments, config=config),
    }
    if device == "cuda":
        calls[OURS_TORCH] = lambda: token_weights(*inputs.arguments, config=config, backend="torch").weights
    return calls


def exact_weights(inputs: Inputs, rank: int) -> np.ndarray:
    """Return the (num_tokens,) float64 weights of an exact SVD in float64."""
    tensors = (inputs.hidden.double(), inputs.sequence_ids, inputs.group_ids, inputs.is_positive)
    hidden, sequence_ids, group_ids, is_positive = (tensor.cpu().numpy() for tensor in tensors)
    return exact.token_weights(hidden, sequence_ids, group_ids, is_positive, rank).weights
