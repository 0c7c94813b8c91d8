# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Hidden state and subspace -> projection residual (e) and alignment (a).

This is the reference that every other backend is held against (ResRL, arXiv 2605.00380, projection residual):

    x = LN(h) - mu        e = ||(I - V V^T) x||^2 / d        a = ||V^T x||^2
"""

import torch
from torch import Tensor

from verl_resrl.subspace import Subspaces, layer_norm

# A residual with a smaller share of ||x||^2 is float32 rounding of a token inside the subspace, and counts as 0: a
# group whose residuals are all of this kind must get equal weights, not noise.
NOISE_SHARE = 1e-10
ROWS_PER_BLOCK = 8192  # bounds the float32 workspace to a few times 8192 x d


def residual_and_alignment(hidden: Tensor, rows: Tensor, counts: Tensor, subspaces: Subspaces) -> tuple[Tensor, Tensor]:
    """Compute e and a of the given tokens.

    The residual is formed explicitly rather than as ||x||^2 - a: for hidden states with massive activations the
    difference would lose every digit.

    Args:
        hidden: (n, d) float32 or bfloat16 hidden states.
        rows: (m,) int64 indices into ``hidden``, group after group.
        counts: (G,) int64 number of rows of each group.
        subspaces: of the same G groups.

    Returns:
        e, a: each (m,) float32, in the order of ``rows``.
    """
    d = hidden.shape[1]
    residual = hidden.new_empty(len(rows), dtype=torch.float32)
    alignment = torch.empty_like(residual)
    begin = 0
    for group, count in enumerate(counts.tolist()):
        centroid, basis = subspaces.centroid[group], subspaces.basis[group]
        for first in range(begin, begin + count, ROWS_PER_BLOCK):
            last = min(first + ROWS_PER_BLOCK, begin + count)
            x = layer_norm(hidden[rows[first:last]]).sub_(centroid)
            inside = x @ basis
            alignment[first:last] = inside.square().sum(-1)
            residual[first:last] = torch.addmm(x, inside, basis.T, alpha=-1).square_().sum(-1)
        begin += count
    residual.masked_fill_(residual <= NOISE_SHARE * (residual + alignment), 0.0)
    return residual / d, alignment
