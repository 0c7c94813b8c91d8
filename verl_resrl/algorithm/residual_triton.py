# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Hidden state and subspace -> residual (e) and alignment (a), as one fused Triton kernel over all groups.

One program handles a tile of tokens of one group and reads each of their bfloat16 hidden states once. The projection
is a product of the hidden state itself, which bfloat16 holds exactly, with V as a sum of two bfloat16 matrices;
LayerNorm and centring follow as rank-one corrections, computed from that very V in float64:

    m, s = mean(h), 1 / sqrt(var(h) + eps)        x = s (h - m) - mu
    V^T x = s (V^T h - m V^T 1) - V^T mu          a = ||V^T x||^2          e = (||x||^2 - a) / d

A few dimensions of a language model's hidden states can be thousands of times larger than the rest (massive
activations, arXiv 2402.17762). In sums of squares they would drown the others' digits. So they are left out of the
sums and read again one by one, from cache. With x = (x_k, x_m) for kept and massive dimensions and V likewise, the
difference of the large numbers becomes a sum of squares, by a 16 x 16 Cholesky factor that is computed in float64:

    C = 2 I - V^T V        b_k = V_k^T x_k        b_m = C V_m^T x_m        L L^T = I - V_m C V_m^T
    d e = ||x_k||^2 - ||b_k||^2 - 2 b_k b_m + ||L^T x_m||^2        a = ||b_k + b_m||^2

C is I but for the rounding of V, which counts where x_m is large.
"""

from dataclasses import dataclass
from typing import Any

import torch
import triton
from torch import Tensor

from verl_resrl.algorithm.packed_subspaces import pack
from verl_resrl.algorithm.residual_kernel import residual_kernel
from verl_resrl.algorithm.subspace import LAYER_NORM_EPS, Subspaces


@dataclass(frozen=True)
class LaunchConfig:
    """Shape of a launch.

    Attributes:
        tokens: of one tile.
        dims: of one step through the hidden size.
        warps: per program.
        stages: tiles in flight.
        max_registers: bound per thread on CUDA, None for the compiler's choice.
    """

    tokens: int
    dims: int
    warps: int
    stages: int
    max_registers: int | None = None


# the shape that the next launch takes, by device and by what the kernel is compiled for
_next_shape: dict[tuple[torch.device, int, int, int], LaunchConfig] = {}


def launch_configs(columns: int, stride: int) -> tuple[LaunchConfig, ...]:
    """List the shapes that a launch can have, fastest first; all have the same ``dims``.

    Larger tiles read V less often, but need registers; which of them a compiler has too few for depends on its version
    and on the GPU. Compiled for sm_80, sm_90 and sm_100, one shape of each list spills none, and lets two programs
    share a multiprocessor.

    Args:
        columns: K, of the packed basis.
        stride: elements from one hidden state to the next.
    """
    if stride % 16 or stride < 256:  # narrow loads need registers for addresses
        return tuple(LaunchConfig(tokens, dims=32, warps=4, stages=3) for tokens in (32, 16))
    small = tuple(LaunchConfig(tokens, dims=32, warps=4, stages=4, max_registers=255) for tokens in (64, 32))
    if columns > 64:
        return small
    return LaunchConfig(tokens=128, dims=32, warps=8, stages=4, max_registers=128), *small


def residual_and_alignment(hidden: Tensor, rows: Tensor, counts: Tensor, subspaces: Subspaces) -> tuple[Tensor, Tensor]:
    """Compute e and a of the given tokens, as ``verl_resrl.algorithm.residual`` does, without waiting for the device.

    Args:
        hidden: (n, d) bfloat16 hidden states; rows may be apart, elements of a row are adjacent.
        rows: (m,) int64 indices into ``hidden``, group after group.
        counts: (G,) int64 number of rows of each group.
        subspaces: of the same G groups, of rank 128 at most.

    Returns:
        e, a: each (m,) float32, in the order of ``rows``.
    """
    num_groups, d = len(counts), hidden.shape[1]
    padded_rank = max(16, triton.next_power_of_2(subspaces.basis.shape[2]))
    shapes = launch_configs(padded_rank, hidden.stride(0))
    compiled_for = (hidden.device, padded_rank, hidden.stride(0), d)
    shape = _next_shape.setdefault(compiled_for, shapes[0])
    packed = pack(subspaces, padded_rank, -(-d // shape.dims) * shape.dims)
    residual = hidden.new_empty(len(rows), dtype=torch.float32)
    alignment = torch.empty_like(residual)
    last_row, last_tile = counts.cumsum(0), (-(-counts // shape.tokens)).cumsum(0)
    # an upper bound, because the exact number of tiles is known to the device alone; the spare ones see no group
    num_tiles = len(rows) // shape.tokens + num_groups
    tiles = torch.arange(num_tiles, device=hidden.device)
    options: dict[str, Any] = {"num_warps": shape.warps, "num_stages": shape.stages, "enable_fp_fusion": True}
    # AMD's compiler has no such option
    if shape.max_registers is not None and torch.version.cuda:
        options["maxnreg"] = shape.max_registers
    compiled = residual_kernel[(num_tiles,)](
        hidden,
        rows,
        torch.searchsorted(last_tile, tiles, right=True).int(),
        last_tile.int(),
        last_row,
        packed.basis,
        packed.centroid,
        packed.kept,
        packed.kept_sums,
        packed.corrections,
        packed.massive,
        packed.massive_centroid,
        packed.massive_basis,
        packed.massive_factor,
        residual,
        alignment,
        hidden.stride(0),
        num_groups,
        eps=LAYER_NORM_EPS,
        D=d,
        PADDED=packed.kept.shape[1],
        K=padded_rank,
        TOKENS=shape.tokens,
        DIMS=shape.dims,
        INTERPRETED=bool(triton.knobs.runtime.interpret),
        **options,
    )
    # the interpreter compiles nothing; a result is right with spilled registers too, only later
    if getattr(compiled, "n_spills", 0) and shape != shapes[-1]:
        _next_shape[compiled_for] = shapes[shapes.index(shape) + 1]
    return residual, alignment
