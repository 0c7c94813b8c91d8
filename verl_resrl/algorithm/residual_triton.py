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
import triton.language as tl
from torch import Tensor

from verl_resrl.algorithm.packed_subspaces import NUM_MASSIVE, pack
from verl_resrl.algorithm.subspace import LAYER_NORM_EPS, Subspaces

MASSIVE = tl.constexpr(NUM_MASSIVE)
VECTOR = tl.constexpr(8)  # partial sums per 8 elements: no exchange between threads inside the loop
# e is a difference of float32 sums: where it is a smaller share of ||x||^2 than this, it is their rounding, and 0
NOISE_SHARE = tl.constexpr(4e-6)


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


def launch_config(columns: int, stride: int) -> LaunchConfig:
    """Pick the shape of a launch: without spilled registers, and small enough for two programs a multiprocessor.

    Chosen by compiling for sm_80 and sm_90; larger tiles read V less often.

    Args:
        columns: K, of the packed basis.
        stride: elements from one hidden state to the next.
    """
    if stride % 16 or stride < 256:  # narrow loads need registers for addresses
        return LaunchConfig(tokens=32, dims=32, warps=4, stages=3)
    if columns > 64:
        return LaunchConfig(tokens=64, dims=32, warps=4, stages=4)
    return LaunchConfig(tokens=128, dims=32, warps=8, stages=4, max_registers=128)


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
    shape = launch_config(padded_rank, hidden.stride(0))
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
    residual_kernel[(num_tiles,)](
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
    return residual, alignment


@triton.jit(do_not_specialize=["num_groups"])
def residual_kernel(  # type: ignore[no-untyped-def]
    hidden,  # (n, D) bfloat16
    rows,  # (m,) int64
    group_of_tile,  # (tiles,) int32
    last_tile,  # (G,) int32: tiles up to and with the group
    last_row,  # (G,) int64: rows up to and with the group
    basis,
    centroid,
    kept,
    kept_sums,
    corrections,
    massive,
    massive_centroid,
    massive_basis,
    massive_factor,
    residual,  # (m,) float32
    alignment,  # (m,) float32
    stride,  # elements from one hidden state to the next
    num_groups,
    eps,
    D: tl.constexpr,
    PADDED: tl.constexpr,  # D rounded up to a multiple of DIMS
    K: tl.constexpr,
    TOKENS: tl.constexpr,
    DIMS: tl.constexpr,
    INTERPRETED: tl.constexpr,
):
    """See the module's text and ``PackedSubspaces`` for the shapes."""
    tile = tl.program_id(0)
    group = tl.load(group_of_tile + tile).to(tl.int64)
    if group >= num_groups:
        return
    first_tile = tl.load(last_tile + group - 1, mask=group > 0, other=0)
    first_row = tl.load(last_row + group - 1, mask=group > 0, other=0)
    row = first_row + (tile - first_tile) * TOKENS + tl.arange(0, TOKENS)
    exists = row < tl.load(last_row + group)
    token = hidden + tl.load(rows + row, mask=exists, other=0) * stride

    dim, column = tl.arange(0, DIMS), tl.arange(0, K)
    basis += group * (2 * PADDED * K)
    centroid += group * PADDED
    kept += group * PADDED

    # a value near the mean of the row, so that its variance is not a difference of large numbers
    keep = tl.load(kept + dim)
    head = tl.load(token[:, None] + dim[None, :], mask=(dim < D)[None, :], other=0.0).to(tl.float32)
    shift = tl.sum(head * keep[None, :], 1) / tl.maximum(tl.sum(keep, 0), 1.0)

    PARTS: tl.constexpr = DIMS // VECTOR
    sum_z = tl.zeros((TOKENS, PARTS), tl.float32)
    sum_zz = tl.zeros((TOKENS, PARTS), tl.float32)
    sum_zmu = tl.zeros((TOKENS, PARTS), tl.float32)
    projection = tl.zeros((TOKENS, K), tl.float32)
    for start in tl.range(0, D, DIMS):
        at = start + dim
        if PADDED == D:
            h = tl.load(token[:, None] + at[None, :])
        else:
            h = tl.load(token[:, None] + at[None, :], mask=(at < D)[None, :], other=0.0)
        high = tl.load(basis + at[:, None] * K + column[None, :])
        low = tl.load(basis + PADDED * K + at[:, None] * K + column[None, :])
        mu = tl.load(centroid + at)
        keep = tl.load(kept + at)
        if INTERPRETED:  # its dot product of bfloat16 multiplies bit patterns
            projection = tl.dot(h.to(tl.float32), high.to(tl.float32), projection, input_precision="ieee")
            projection = tl.dot(h.to(tl.float32), low.to(tl.float32), projection, input_precision="ieee")
        else:
            projection = tl.dot(h, high, projection)
            projection = tl.dot(h, low, projection)
        z = (h.to(tl.float32) - shift[:, None]) * keep[None, :]
        sum_z += tl.sum(tl.reshape(z, (TOKENS, PARTS, VECTOR)), 2)
        sum_zz += tl.sum(tl.reshape(z * z, (TOKENS, PARTS, VECTOR)), 2)
        sum_zmu += tl.sum(tl.reshape(z * mu[None, :], (TOKENS, PARTS, VECTOR)), 2)

    slot = tl.arange(0, MASSIVE)
    massive_dim = tl.load(massive + group * MASSIVE + slot)
    used = (massive_dim >= 0)[None, :]
    h_massive = tl.load(token[:, None] + tl.maximum(massive_dim, 0)[None, :]).to(tl.float32)
    z_massive = tl.where(used, h_massive - shift[:, None], 0.0)
    kept_z = tl.sum(sum_z, 1)
    mean_z = (kept_z + tl.sum(z_massive, 1)) / D
    num_kept = tl.load(kept_sums + 3 * group)
    # squared distance from the mean, kept and massive dimensions apart
    kept_energy = tl.maximum(tl.sum(sum_zz, 1) - 2.0 * mean_z * kept_z + num_kept * mean_z * mean_z, 0.0)
    z_massive = tl.where(used, z_massive - mean_z[:, None], 0.0)
    energy = kept_energy + tl.sum(z_massive * z_massive, 1)
    scale = tl.where(energy > 0.0, 1.0 / tl.sqrt(energy / D + eps), 0.0)

    # x_k = s z - offset - centroid: the mean of a row and that of mu can be large and nearly cancel
    offset = scale * mean_z + tl.load(kept_sums + 3 * group + 1)
    norm = scale * scale * tl.sum(sum_zz, 1) - 2.0 * scale * (offset * kept_z + tl.sum(sum_zmu, 1))
    norm += num_kept * offset * offset + tl.load(kept_sums + 3 * group + 2)
    of_ones = tl.load(corrections + group * (2 * K) + column)
    of_mu = tl.load(corrections + group * (2 * K) + K + column)
    b_kept = projection * scale[:, None] - (scale * shift + offset)[:, None] * of_ones[None, :] - of_mu[None, :]

    mu_massive = tl.load(massive_centroid + group * MASSIVE + slot)
    x_massive = tl.where(used, z_massive * scale[:, None] - mu_massive[None, :], 0.0)
    b_massive = tl.zeros((TOKENS, K), tl.float32)
    outside_massive = tl.zeros((TOKENS, MASSIVE), tl.float32)
    number = tl.sum((massive_dim >= 0).to(tl.int32), 0)
    t = 0
    while t < number:  # outer products: float32 throughout, and few registers
        x_t = tl.sum(tl.where((slot == t)[None, :], x_massive, 0.0), 1)[:, None]
        b_massive += x_t * tl.load(massive_basis + (group * MASSIVE + t) * K + column)[None, :]
        outside_massive += x_t * tl.load(massive_factor + (group * MASSIVE + t) * MASSIVE + slot)[None, :]
        t += 1

    left = norm - tl.sum(b_kept * (b_kept + 2.0 * b_massive), 1)
    left += tl.sum(outside_massive * outside_massive, 1)
    b = b_kept + b_massive
    aligned = tl.sum(b * b, 1)
    tl.store(residual + row, tl.where(left <= NOISE_SHARE * norm, 0.0, left) / D, mask=exists)
    tl.store(alignment + row, aligned, mask=exists)
