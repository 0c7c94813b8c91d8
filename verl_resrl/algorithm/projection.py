# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Centred token and basis -> what of the token lies inside the subspace, and what outside, in torch.

ResRL, arXiv 2605.00380: a = ||V^T x||^2 and ||(I - V V^T) x||^2, with x = LN(h) - mu.
"""

import torch
from torch import Tensor

# With at least this share of ||x||^2 outside, the outside is ||x||^2 - a: that loses no more than four bits, about
# what rounding the products has cost already.
DIFFERENCE_SHARE = 1 / 16
# A residual with a smaller share of ||x||^2 is float32 rounding of a token inside the subspace, and counts as 0: a
# group whose residuals are all of this kind must get equal weights, not noise.
NOISE_SHARE = 1e-10
EXPLICIT_ROWS = {"cpu": 64}
EXPLICIT_ROWS_ELSEWHERE = 1024


def project(x: Tensor, basis: Tensor) -> tuple[Tensor, Tensor]:
    """Split the squared length of each token.

    One product gives a, and the rest is outside. Where little of it is, as in hidden states with massive activations,
    the difference would have lost its digits, and the token's part outside is formed explicitly. The result for a token
    depends on the number of tokens, not on the other tokens: not even in its last bit.

    Args:
        x: (n, d) float32 centred tokens; tokens of zeros give zeros.
        basis: (d, k) float32 orthonormal columns, or columns of zeros.

    Returns:
        outside, inside: each (n,) float32, squared lengths.
    """
    inside = (x @ basis).square_().sum(1)
    length = torch.linalg.vector_norm(x, dim=1).square_()
    outside = length - inside
    close = torch.nonzero(outside < DIFFERENCE_SHARE * length).squeeze(1)
    size = EXPLICIT_ROWS.get(x.device.type, EXPLICIT_ROWS_ELSEWHERE)
    for rows in close.split(size):
        part = torch.nn.functional.pad(x[rows], (0, 0, 0, size - len(rows)))
        rest = torch.addmm(part, part @ basis, basis.T, alpha=-1)
        outside[rows] = rest.square_().sum(1)[: len(rows)]
    return outside.masked_fill_(outside <= NOISE_SHARE * length, 0.0), inside
