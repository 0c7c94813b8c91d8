# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Lazy Likelihood Displacement (LLD): correct responses that an update makes less likely, foreseen and measured.

LLD (arXiv 2505.18830): learning from wrong responses lowers the likelihood of correct ones that resemble them. The
gradients of two tokens with respect to the output head W factor (arXiv 2605.00380),

    <dl1/dW, dl2/dW> = <delta1, delta2> <x1, x2>        delta = dl/dlogits, x = input of the head,

so that a negative token x- can disturb a positive token x+ only as far as the two align. Both bounds below limit
that alignment by what one forward pass gives, with e(x) = ||(I - V V^T) x||^2 / d the residual of x and
a(x) = ||V^T x||^2 = ||x||^2 - d e(x) its alignment with the positive subspace V. Mean a(x-) of a group is the proxy.
"""

import warnings

import torch
from scipy.stats import ConstantInputWarning, spearmanr
from torch import Tensor

from verl_resrl.algorithm.exchange import Exchange


def head_gradient_product(delta_1: Tensor, x_1: Tensor, delta_2: Tensor, x_2: Tensor) -> Tensor:
    """Inner product of two tokens' gradients with respect to the output head (arXiv 2605.00380).

    Args:
        delta_1: (..., vocabulary) gradient of the first token's loss with respect to its logits.
        x_1: (..., d) input of the head that gave these logits.
        delta_2: the same of the second token.
        x_2: the same of the second token.

    Returns:
        (...) <dl1/dW, dl2/dW>, without forming a (vocabulary, d) gradient.
    """
    return (delta_1 * delta_2).sum(-1) * (x_1 * x_2).sum(-1)


def alignment_bound(negative_norm: Tensor, negative_residual: Tensor, positive_norm: Tensor, d: int) -> Tensor:
    """Bound <x-, x+>^2 for a positive token inside the positive subspace (arXiv 2605.00380).

    <x-, x+>^2 = <V^T x-, V^T x+>^2 <= ||x+||^2 (||x-||^2 - d e(x-)), with equality where V^T x- is parallel to x+.

    Args:
        negative_norm: (...) ||x-||.
        negative_residual: (...) e(x-).
        positive_norm: (...) ||x+||.
        d: hidden size.

    Returns:
        (...) the bound on the square of the inner product.
    """
    return positive_norm.square() * (negative_norm.square() - d * negative_residual).clamp_min(0)


def coverage_bound(
    negative_norm: Tensor, negative_residual: Tensor, positive_norm: Tensor, positive_residual: Tensor, d: int
) -> Tensor:
    """Bound |<x-, x+>| for any positive token, covered by the subspace or not (arXiv 2605.00380).

    |<x-, x+>| <= ||V^T x+|| sqrt(||x-||^2 - d e(x-)) + ||x-|| sqrt(d e(x+)): what the subspace misses of the positive
    token comes on top, so that the mean e(x+) tells how far the first bound can be trusted.

    Args:
        negative_norm: (...) ||x-||.
        negative_residual: (...) e(x-).
        positive_norm: (...) ||x+||.
        positive_residual: (...) e(x+).
        d: hidden size.

    Returns:
        (...) the bound on the size of the inner product.
    """
    inside = (positive_norm.square() - d * positive_residual).clamp_min(0).sqrt()
    aligned = (negative_norm.square() - d * negative_residual).clamp_min(0).sqrt()
    return inside * aligned + negative_norm * (d * positive_residual).sqrt()


def lld_proxy(alignment: Tensor, negative: Tensor, group: Tensor, num_groups: int, exchange: Exchange) -> Tensor:
    """Foresee how much an update will disturb each group's positive sequences: mean a(x-) (arXiv 2605.00380).

    Args:
        alignment: (num_tokens,) a, or interference in its place, NaN in groups without a subspace.
        negative: (num_tokens,) bool, tokens of negative sequences.
        group: (num_tokens,) int64 in [0, num_groups).
        num_groups: number of groups, on all ranks the same.
        exchange: to the ranks that hold the rest of the groups.

    Returns:
        (num_groups,) float64 on the CPU; NaN in groups without a subspace.
    """
    known = negative & ~alignment.isnan()
    return means(alignment[known], group[known], num_groups, exchange)


def means(values: Tensor, index: Tensor, size: int, exchange: Exchange) -> Tensor:
    """Average values by an index over all ranks.

    Args:
        values: (n,) of any floating dtype.
        index: (n,) int64 in [0, size).
        size: number of means.
        exchange: to the ranks that hold more of the values.

    Returns:
        (size,) float64 on the CPU; NaN where there is no value.
    """
    total = torch.zeros(size, dtype=torch.float64).index_add_(0, index.cpu(), values.double().cpu())
    count = torch.bincount(index.cpu(), minlength=size)
    return exchange.sum(total) / exchange.sum(count)


def rank_correlation(proxy: Tensor, drop: Tensor) -> float | None:
    """Spearman's rank correlation over groups between the proxy and the measured drop of the log-likelihood.

    Args:
        proxy: (num_groups,) mean alignment of each group's negative tokens.
        drop: (num_groups,) mean log pi_old - log pi_new of each group's positive sequences.

    Returns:
        In [-1, 1], positive where the proxy foresees the drop; None where there is no order to compare: fewer than
        three groups, or one of the two is the same throughout.
    """
    if len(proxy) < 3:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConstantInputWarning)  # answered by None
        value = float(spearmanr(proxy.numpy(), drop.numpy()).statistic)
    return None if value != value else value
