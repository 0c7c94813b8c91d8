# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""What ResRL reports of a batch; verl logs each under the prefix ``actor/``."""

import torch
from torch import Tensor

from verl_resrl.integration.batch import Batch
from verl_resrl.weights import TokenWeights


def weight_metrics(batch: Batch, negative: Tensor, out: TokenWeights, hidden_size: int) -> dict[str, float]:
    """Summarise the weights of a batch.

    Args:
        batch: the batch.
        negative: (num_tokens,) bool, wanted tokens of negative sequences.
        out: weights of the wanted tokens.
        hidden_size: d.

    Returns:
        Metrics under ``resrl/``; those of tokens only when a group was active.
    """
    metrics = group_metrics(batch)
    if not negative.any():
        return metrics
    residual, alignment, weights = out.residual[negative], out.alignment[negative], out.weights[negative]
    ordered = residual.sort().values  # torch.quantile stops at 16 million elements
    last = len(ordered) - 1
    inside, outside = out.alignment[~negative].double().sum(), hidden_size * out.residual[~negative].double().sum()
    return metrics | {
        "resrl/weight_mean": weights.mean().item(),
        "resrl/weight_min": weights.min().item(),
        "resrl/weight_max": weights.max().item(),
        "resrl/residual_q20": ordered[round(0.2 * last)].item(),
        "resrl/residual_q80": ordered[round(0.8 * last)].item(),
        "resrl/alignment_mean": alignment.mean().item(),
        "resrl/coverage": (inside / (inside + outside)).item(),
    }


def group_metrics(batch: Batch) -> dict[str, float]:
    """Count the prompt groups of a batch that got weights, and the others by reason.

    Args:
        batch: the batch; its padding rows are in no group.

    Returns:
        Shares of all groups, each in [0, 1].
    """
    real = torch.unique(batch.group_ids[~batch.padding])
    has_positive = torch.zeros(len(batch.active), dtype=torch.bool).index_fill_(
        0, batch.group_ids[batch.positive], True
    )
    has_negative = torch.zeros_like(has_positive).index_fill_(0, batch.group_ids[~batch.positive], True)
    few_tokens = has_positive & has_negative & ~batch.active
    count = max(len(real), 1)
    return {
        "resrl/active_group_frac": batch.active[real].sum().item() / count,
        "resrl/inactive_all_negative_frac": (~has_positive)[real].sum().item() / count,
        "resrl/inactive_all_positive_frac": (~has_negative)[real].sum().item() / count,
        "resrl/inactive_few_tokens_frac": few_tokens[real].sum().item() / count,
    }
