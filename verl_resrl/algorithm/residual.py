# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Hidden state and subspace -> projection residual (e) and alignment (a).

ResRL, arXiv 2605.00380, projection residual:

    x = LN(h) - mu        e = ||(I - V V^T) x||^2 / d        a = ||V^T x||^2

``reference`` is the torch form, which every other backend is held against.
"""

import importlib.util
from collections.abc import Callable

import torch
from torch import Tensor

from verl_resrl.algorithm.projection import project
from verl_resrl.algorithm.subspace import Subspaces, layer_norm, take
from verl_resrl.algorithm.threads import for_each

BACKENDS = ("auto", "torch", "triton")
TRITON_MAX_RANK = 128  # the projections of a tile of tokens live in registers
# Shapes of matrix products are the same whatever the number of tokens, and whole vectors of 16: on a CPU, the result
# for a token then does not depend, not even in its last bit, on which other tokens are computed with it.
ROWS_PER_BLOCK = {"cpu": 256}
ROWS_AT_A_TIME = 16384  # that come out of host memory
ROWS_PER_BLOCK_ELSEWHERE = 8192  # bounds the float32 workspace to a few times 8192 x d
VECTOR = 16


def choose_backend(backend: str, dtype: torch.dtype, device: torch.device, rank: int) -> str:
    """Tell which implementation computes the residuals.

    Args:
        backend: "auto", "torch" or "triton". "auto" takes Triton for bfloat16 on a CUDA or ROCm GPU where Triton is
            installed and the rank is at most 128, and torch otherwise.
        dtype: of the hidden states.
        device: to compute on.
        rank: k.

    Returns:
        "torch" or "triton".

    Raises:
        ValueError: unknown backend, or "triton" where it cannot run.
    """
    if backend not in BACKENDS:
        raise ValueError(f"ResRL: backend={backend!r} must be one of {', '.join(BACKENDS)}")
    if backend == "torch":
        return backend
    obstacle = _obstacle_to_triton(dtype, device, rank)
    if backend == "triton" and obstacle:
        raise ValueError(f"ResRL: backend='triton' {obstacle}; use backend='torch', or 'auto' for whichever fits")
    # under the interpreter Triton is for tests: slower by orders of magnitude
    return "triton" if obstacle is None and (device.type == "cuda" or backend == "triton") else "torch"


def _obstacle_to_triton(dtype: torch.dtype, device: torch.device, rank: int) -> str | None:
    if importlib.util.find_spec("triton") is None:
        return "needs the package triton, which is not installed"
    if device.type != "cuda":
        import triton

        if not triton.knobs.runtime.interpret:
            return f"needs a CUDA or ROCm GPU (or TRITON_INTERPRET=1), and this runs on {device}"
    if dtype != torch.bfloat16:
        return f"needs bfloat16 hidden states, not {dtype}"
    if rank > TRITON_MAX_RANK:
        return f"needs rank <= {TRITON_MAX_RANK}, not {rank}"
    return None


def residual_and_alignment(
    hidden: Tensor, rows: Tensor, counts: Tensor, subspaces: Subspaces, backend: str = "auto"
) -> tuple[Tensor, Tensor]:
    """Compute e and a of the given tokens.

    Args:
        hidden: (n, d) float32, bfloat16 or float16 hidden states, on the device of ``rows`` or in host memory.
        rows: (m,) int64 indices into ``hidden``, group after group.
        counts: (G,) int64 number of rows of each group.
        subspaces: of the same G groups.
        backend: see ``choose_backend``.

    Returns:
        e, a: each (m,) float32, in the order of ``rows``.

    Raises:
        ValueError: see ``choose_backend``.
    """
    chosen = choose_backend(backend, hidden.dtype, rows.device, subspaces.basis.shape[2])
    if not len(rows):  # a rank may have no token of any active group
        return torch.empty(0, device=rows.device), torch.empty(0, device=rows.device)
    if chosen == "torch":
        return reference(hidden, rows, counts, subspaces)
    from verl_resrl.algorithm.residual_triton import residual_and_alignment as fused

    if hidden.device == rows.device:
        return fused(hidden, rows, counts, subspaces)
    return group_by_group(fused, hidden, rows, counts, subspaces)


def group_by_group(
    compute: Callable[..., tuple[Tensor, Tensor]], hidden: Tensor, rows: Tensor, counts: Tensor, subspaces: Subspaces
) -> tuple[Tensor, Tensor]:
    """Compute e and a with a part of one group's hidden states at a time on the device.

    Args:
        compute: what computes them of hidden states on the device.
        hidden: (n, d) hidden states in host memory; further arguments and result as above.
    """
    results = []
    for group, part in enumerate(rows.split(counts.tolist())):
        own = slice(group, group + 1)
        subspace = Subspaces(subspaces.centroid[own], subspaces.basis[own], subspaces.rms[own])
        for piece in part.split(ROWS_AT_A_TIME):
            place, count = torch.arange(len(piece), device=rows.device), torch.full_like(counts[own], len(piece))
            results.append(compute(take(hidden, piece), place, count, subspace))
    residual, alignment = zip(*results, strict=True)
    return torch.cat(residual), torch.cat(alignment)


def reference(hidden: Tensor, rows: Tensor, counts: Tensor, subspaces: Subspaces) -> tuple[Tensor, Tensor]:
    """Compute e and a with torch; arguments and result as above."""
    d = hidden.shape[1]
    size = ROWS_PER_BLOCK.get(rows.device.type, ROWS_PER_BLOCK_ELSEWHERE)
    fill = (0, -subspaces.basis.shape[2] % VECTOR, 0, -d % VECTOR)
    residual = torch.empty(len(rows), device=rows.device)
    alignment = torch.empty_like(residual)
    ends = counts.cumsum(0).tolist()

    def measure(group: int) -> None:
        basis = torch.nn.functional.pad(subspaces.basis[group], fill)
        for first in range(ends[group] - int(counts[group]), ends[group], size):
            own = slice(first, min(first + size, ends[group]))
            x = layer_norm(take(hidden, rows[own])).sub_(subspaces.centroid[group])
            x = torch.nn.functional.pad(x, (0, fill[-1], 0, size - len(x)))
            outside, inside = project(x, basis)
            residual[own], alignment[own] = outside[: own.stop - own.start], inside[: own.stop - own.start]

    for_each(measure, range(len(counts)), rows.device)
    return residual / d, alignment
