# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""ResRL's token weights (arXiv 2605.00380) restated: NumPy, float64, exact SVD, one group after the other.

The truth of the tests and of the benchmark. Written from the formulas, not from the package, and meant to be read
beside them:

    x = LN(h) - mu        e = ||(I - V V^T) x||^2 / d        a = ||V^T x||^2
    w = xi + (1 - xi) clamp((e - q_lo) / (q_hi - q_lo), 0, 1)
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Smaller lengths, relative to the largest, are rounding noise of float32 hidden states: the subspace of tokens that
# span fewer than k directions has fewer than k directions, and a token inside it has no residual.
NOISE = 1e-5


@dataclass(frozen=True)
class Reference:
    """What ``token_weights`` should return, in float64."""

    weights: NDArray[np.float64]
    residual: NDArray[np.float64]
    alignment: NDArray[np.float64]
    active: NDArray[np.bool_]


def layer_norm(hidden: NDArray[np.float64]) -> NDArray[np.float64]:
    """Normalise rows: zero mean, unit variance, eps 1e-5, no affine."""
    centred = hidden - hidden.mean(axis=1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5)


def positive_subspace(x: NDArray[np.float64], rank: int) -> NDArray[np.float64]:
    """(n, d) centred positive tokens -> (d, k) top right singular vectors, k <= min(rank, n - 1, d)."""
    n, d = x.shape
    _, singular_values, vt = np.linalg.svd(x, full_matrices=False)
    k = min(rank, n - 1, d)
    noise = max(NOISE * singular_values[0], 1e-9 * np.sqrt(n * d))  # the latter: all tokens are equal
    k = min(k, int((singular_values > noise).sum()))
    return vt[:k].T


def token_weights(
    hidden: NDArray,
    sequence_ids: NDArray,
    group_ids: NDArray,
    is_positive: NDArray,
    rank: int = 64,
    q_low: float = 0.2,
    q_high: float = 0.8,
    xi: float = 0.1,
    min_positive_tokens: int = 4,
    basis_tokens: NDArray | None = None,
) -> Reference:
    """Compute weights, residuals and alignments.

    Args:
        hidden: (num_tokens, d).
        sequence_ids: (num_tokens,) integer.
        group_ids: (num_sequences,) integer.
        is_positive: (num_sequences,) bool.
        rank: largest dimension of the subspace.
        q_low: quantile that gets the weight xi.
        q_high: quantile that gets the weight 1.
        xi: floor.
        min_positive_tokens: groups with fewer are inactive.
        basis_tokens: (num_tokens,) bool, positive tokens that span the subspace; all by default.

    Returns:
        Reference.
    """
    hidden = np.asarray(hidden, dtype=np.float64)
    d = hidden.shape[1]
    weights = np.ones(len(hidden))
    residual = np.full(len(hidden), np.nan)
    alignment = np.full(len(hidden), np.nan)
    groups = np.unique(group_ids)
    active = np.zeros(len(groups), dtype=bool)
    for number, group in enumerate(groups):
        members = group_ids[sequence_ids] == group
        positive = members & is_positive[sequence_ids]
        negative = members & ~is_positive[sequence_ids]
        if positive.sum() < min_positive_tokens or not negative.any():
            continue
        active[number] = True
        basis = positive if basis_tokens is None else positive & basis_tokens
        mu = layer_norm(hidden[basis]).mean(axis=0)
        v = positive_subspace(layer_norm(hidden[basis]) - mu, rank)
        x = layer_norm(hidden[members]) - mu
        inside = x @ v
        outside = ((x - inside @ v.T) ** 2).sum(axis=1)
        residual[members] = np.where(outside > NOISE**2 * (x**2).sum(axis=1), outside, 0.0) / d
        alignment[members] = (inside**2).sum(axis=1)

        low, high = np.quantile(residual[negative], [q_low, q_high])
        if high - low <= 1e-4 * high:
            weights[negative] = (1 + xi) / 2
        else:
            weights[negative] = xi + (1 - xi) * np.clip((residual[negative] - low) / (high - low), 0, 1)
    return Reference(weights, residual, alignment, active)
