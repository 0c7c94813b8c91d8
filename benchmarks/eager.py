# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The eager method that ours is measured against: one prompt group after the other, every step materialised.

A restatement of how ResRL (arXiv 2605.00380) is published: float32 LayerNorm, centring, an unseeded low-rank PCA
without oversampling, projection and residual as tensors of their own, ``torch.quantile``. The difference to the
published code is that it sees complete groups, so that both methods answer the same question.
"""

import torch
from torch import Tensor

from verl_resrl import ResRLConfig

ITERATIONS = 4  # subspace iterations of the PCA
SMALLEST_SPREAD = 1e-8  # of the quantiles, against a division by zero


def eager_token_weights(
    hidden: Tensor, sequence_ids: Tensor, group_ids: Tensor, is_positive: Tensor, config: ResRLConfig
) -> Tensor:
    """Compute the weight of every token.

    Args:
        hidden: (num_tokens, d) float32 or bfloat16.
        sequence_ids: (num_tokens,) int64, the sequence of each token.
        group_ids: (num_sequences,) int64, the prompt group of each sequence.
        is_positive: (num_sequences,) bool; each group has positive and negative sequences.
        config: settings; all positive tokens enter the subspace.

    Returns:
        (num_tokens,) float32; 1 for tokens of positive sequences. Differs from call to call: the PCA has no seed.
    """
    group = group_ids[sequence_ids]
    positive = is_positive[sequence_ids]
    weights = torch.ones(len(hidden), dtype=torch.float32, device=hidden.device)
    for number in group_ids.unique().tolist():
        members = group == number
        positives = _layer_norm(hidden[members & positive])
        negatives = _layer_norm(hidden[members & ~positive])
        centroid = positives.mean(0)
        positives, negatives = positives - centroid, negatives - centroid
        rank = min(config.rank, len(positives) - 1, hidden.shape[1])
        _, _, basis = torch.pca_lowrank(positives, q=rank, center=False, niter=ITERATIONS)
        projection = negatives @ basis @ basis.T
        residual = (negatives - projection).square().mean(-1)
        low, high = torch.quantile(residual, residual.new_tensor([config.q_low, config.q_high]))
        z = ((residual - low) / (high - low).clamp_min(SMALLEST_SPREAD)).clamp(0, 1)
        weights[members & ~positive] = config.xi + (1 - config.xi) * z
    return weights


def _layer_norm(hidden: Tensor) -> Tensor:
    return torch.nn.functional.layer_norm(hidden.float(), hidden.shape[-1:])
