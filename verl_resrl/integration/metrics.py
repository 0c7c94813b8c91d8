# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""What ResRL reports of a batch, over all ranks; verl logs each under the prefix ``actor/``."""

import resource
from collections.abc import Iterable

import torch
from torch import Tensor

from verl_resrl.algorithm.exchange import Exchange
from verl_resrl.algorithm.quantiles import sorted_values
from verl_resrl.algorithm.weights import TokenWeights
from verl_resrl.integration.batch import Batch, hash_of_text

WEIGHT_BINS = 10  # of equal width over [0, 1]; each has its lower edge, and the last one 1 too


def weight_metrics(negative: Tensor, out: TokenWeights, hidden_size: int, exchange: Exchange) -> dict[str, float]:
    """Summarise the weights of a batch.

    Args:
        negative: (num_tokens,) bool, wanted tokens of negative sequences.
        out: weights of the wanted tokens.
        hidden_size: d.
        exchange: to the ranks that hold the rest of the batch.

    Returns:
        Metrics under ``resrl/``; none where no group was active. ``weight_bin_0`` to ``weight_bin_9`` are the shares of
        negative tokens with weights in [i / 10, (i + 1) / 10).
    """
    known = ~out.residual.isnan()  # false in groups that fell back
    residual, weights = out.residual[negative & known], out.weights[negative & known]
    edges = torch.arange(1, WEIGHT_BINS, device=weights.device) / WEIGHT_BINS
    bins = exchange.sum(torch.bincount(torch.bucketize(weights, edges, right=True), minlength=WEIGHT_BINS))
    count = int(bins.sum())
    if not count:
        return {}
    # sums, counts and extremes alone cross ranks: the weights of a large batch are gigabytes
    low, high = sorted_values(residual, (round(0.2 * (count - 1)), round(0.8 * (count - 1))), exchange)
    extremes = exchange.gather(torch.stack(weights.aminmax()) if len(weights) else weights)
    alignment = out.alignment[negative & known].double().sum()
    inside = out.alignment[~negative & known].double().sum()
    outside = hidden_size * out.residual[~negative & known].double().sum()
    sums = torch.stack([weights.double().sum(), alignment, inside, outside])
    total, alignment, inside, outside = exchange.sum(sums).unbind()
    return {
        "resrl/weight_mean": (total / count).item(),
        "resrl/weight_min": extremes.min().item(),
        "resrl/weight_max": extremes.max().item(),
        "resrl/residual_q20": low,
        "resrl/residual_q80": high,
        "resrl/alignment_mean": (alignment / count).item(),
        "resrl/coverage": (inside / (inside + outside)).item(),
        **{f"resrl/weight_bin_{i}": share for i, share in enumerate((bins.double() / count).tolist())},
    }


def interference_metrics(score: Tensor, exchange: Exchange) -> dict[str, float]:
    """Summarise the interference of a batch.

    Args:
        score: (n,) float32 interference of the wanted tokens of negative sequences, NaN in groups without.
        exchange: to the ranks that hold the rest of the batch.

    Returns:
        ``resrl/interference_mean``, and ``resrl/interference_negative_frac``, the share of tokens whose penalty helps
        the positive sequences; nothing where no group was active.
    """
    score = score[~score.isnan()].double()
    sums = exchange.sum(torch.stack([score.sum(), (score < 0).double().sum(), torch.ones_like(score).sum()]))
    total, helps, count = sums.tolist()
    if not count:
        return {}
    return {"resrl/interference_mean": total / count, "resrl/interference_negative_frac": helps / count}


def group_metrics(batch: Batch, non_finite: Tensor, exchange: Exchange) -> dict[str, float]:
    """Count the prompt groups of a batch that got weights, and the others by reason.

    Args:
        batch: the batch; its padding rows are in no group.
        non_finite: (num_groups,) bool, groups that fell back because of hidden states that are not finite.
        exchange: to the ranks that hold the rest of the batch.

    Returns:
        Shares of all groups, each in [0, 1]; ``resrl/fallback_count``, groups that could have got weights and did not;
        ``resrl/fallback_non_finite_count`` and ``resrl/fallback_few_tokens_count``, these by reason.
    """

    def some(sequences: Tensor) -> Tensor:
        """(num_groups,) bool: groups that have one of these sequences on any rank."""
        return exchange.sum(torch.bincount(batch.group_ids[sequences], minlength=len(batch.active))) > 0

    real = some(~batch.padding)
    has_positive, has_negative = some(batch.positive & ~batch.padding), some(~batch.positive & ~batch.padding)
    few_tokens = real & has_positive & has_negative & ~batch.active
    non_finite = real & non_finite & batch.active
    count = max(int(real.sum()), 1)
    return {
        "resrl/active_group_frac": (real & batch.active & ~non_finite).sum().item() / count,
        "resrl/inactive_all_negative_frac": (real & ~has_positive).sum().item() / count,
        "resrl/inactive_all_positive_frac": (real & ~has_negative).sum().item() / count,
        "resrl/inactive_few_tokens_frac": few_tokens.sum().item() / count,
        "resrl/fallback_non_finite_count": non_finite.sum().item(),
        "resrl/fallback_few_tokens_count": few_tokens.sum().item(),
        "resrl/fallback_count": (non_finite | few_tokens).sum().item(),
    }


def memory_metrics(hidden: Tensor, head_bytes: int, device: torch.device) -> dict[str, float]:
    """Say how much memory this rank has used.

    Args:
        hidden: hidden states that were held.
        head_bytes: of inputs and predictions of the output head that were held beside them.
        device: that computes.

    Returns:
        ``resrl/hidden_gb_max``, 10^9 bytes of both; ``resrl/hidden_offloaded``, 1 if they were in host memory;
        ``resrl/peak_gb_max``, the most that was allocated on the device so far (on a CPU: the process's resident size).
    """
    if device.type == "cpu":
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB
    else:
        peak = torch.get_device_module(device).max_memory_allocated()
    return {
        "resrl/hidden_gb_max": (hidden.nbytes + head_bytes) / 1e9,
        "resrl/hidden_offloaded": float(hidden.device != device),
        "resrl/peak_gb_max": peak / 1e9,
    }


def fallback_metrics(
    batch_metrics: dict[str, float], failure: str | None, weights: Tensor, uids: Iterable[str], exchange: Exchange
) -> dict[str, float]:
    """Count the groups that lost their weights in one update, beside those that had none before.

    verl logs the mean over the updates of a batch: a group that lost them in one of four counts a quarter.

    Args:
        batch_metrics: of ``group_metrics``.
        failure: what was not finite with the weights: ``loss``, ``gradient`` or None.
        weights: jagged (num_sequences, response length) float32, of the mini-batch.
        uids: (num_sequences,) prompt of each sequence.
        exchange: to the ranks that hold the rest of the mini-batch.

    Returns:
        ``resrl/fallback_loss_count``, ``resrl/fallback_gradient_count``, and ``resrl/fallback_count`` with these.
    """
    lost = 0
    if failure is not None:
        rows = zip(uids, weights.unbind(), strict=True)
        own = {hash_of_text(str(uid)) for uid, row in rows if bool((row != 1).any())}
        lost = len(torch.unique(exchange.gather(torch.tensor(sorted(own), dtype=torch.int64))))
    counts = {f"resrl/fallback_{reason}_count": float(lost * (failure == reason)) for reason in ("loss", "gradient")}
    return counts | {"resrl/fallback_count": batch_metrics.get("resrl/fallback_count", 0.0) + lost}
