# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The Triton kernel of ``residual_triton``, whose text has the formulas.

It keeps few values in registers, so that compilers need no memory for them: massive dimensions are read again wherever
they count, and the two products with them have a loop each.
"""

import triton
import triton.language as tl

from verl_resrl.algorithm.packed_subspaces import NUM_MASSIVE

MASSIVE = tl.constexpr(NUM_MASSIVE)
VECTOR = tl.constexpr(8)  # partial sums per 8 elements: no exchange between threads inside the loop
# e is a difference of float32 sums: where it is a smaller share of ||x||^2 than this, it is their rounding, and 0
NOISE_SHARE = tl.constexpr(4e-6)


@triton.jit
def massive_value(token, massive, t, shift):  # type: ignore[no-untyped-def]
    """Each token's hidden state in its group's massive dimension number t, less ``shift``."""
    return tl.load(token + tl.load(massive + t)).to(tl.float32) - shift


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
    """See ``PackedSubspaces`` for the shapes."""
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

    # the massive dimensions one by one, read again from cache: few registers, float32 throughout
    massive += group * MASSIVE
    number = tl.sum((tl.load(massive + tl.arange(0, MASSIVE)) >= 0).to(tl.int32), 0)
    kept_z = tl.sum(sum_z, 1)
    total_z = kept_z
    t = 0
    while t < number:
        total_z += massive_value(token, massive, t, shift)
        t += 1
    mean_z = total_z / D
    num_kept = tl.load(kept_sums + 3 * group)
    # squared distance from the mean, kept and massive dimensions apart
    energy = tl.maximum(tl.sum(sum_zz, 1) - 2.0 * mean_z * kept_z + num_kept * mean_z * mean_z, 0.0)
    t = 0
    while t < number:
        z_t = massive_value(token, massive, t, shift) - mean_z
        energy += z_t * z_t
        t += 1
    scale = tl.where(energy > 0.0, 1.0 / tl.sqrt(energy / D + eps), 0.0)

    # x_k = s z - offset - centroid: the mean of a row and that of mu can be large and nearly cancel
    offset = scale * mean_z + tl.load(kept_sums + 3 * group + 1)
    norm = scale * scale * tl.sum(sum_zz, 1) - 2.0 * scale * (offset * kept_z + tl.sum(sum_zmu, 1))
    norm += num_kept * offset * offset + tl.load(kept_sums + 3 * group + 2)
    of_ones = tl.load(corrections + group * (2 * K) + column)
    of_mu = tl.load(corrections + group * (2 * K) + K + column)
    b_kept = projection * scale[:, None] - (scale * shift + offset)[:, None] * of_ones[None, :] - of_mu[None, :]

    b_massive = tl.zeros((TOKENS, K), tl.float32)
    t = 0
    while t < number:
        z_t = massive_value(token, massive, t, shift) - mean_z
        x_t = z_t * scale - tl.load(massive_centroid + group * MASSIVE + t)
        b_massive += x_t[:, None] * tl.load(massive_basis + (group * MASSIVE + t) * K + column)[None, :]
        t += 1
    left = norm - tl.sum(b_kept * (b_kept + 2.0 * b_massive), 1)
    b = b_kept + b_massive
    aligned = tl.sum(b * b, 1)

    slot = tl.arange(0, MASSIVE)
    outside_massive = tl.zeros((TOKENS, MASSIVE), tl.float32)
    t = 0
    while t < number:
        z_t = massive_value(token, massive, t, shift) - mean_z
        x_t = z_t * scale - tl.load(massive_centroid + group * MASSIVE + t)
        outside_massive += x_t[:, None] * tl.load(massive_factor + (group * MASSIVE + t) * MASSIVE + slot)[None, :]
        t += 1
    left += tl.sum(outside_massive * outside_massive, 1)
    tl.store(residual + row, tl.where(left <= norm * NOISE_SHARE, 0.0, left) / D, mask=exists)
    tl.store(alignment + row, aligned, mask=exists)
