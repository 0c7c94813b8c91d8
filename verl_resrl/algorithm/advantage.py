# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Outcome advantages of ResRL and its baselines as pure functions of one score per sequence."""

import torch
from torch import Tensor


def separating_threshold(scores: Tensor, threshold: float) -> float | None:
    """Notice that a threshold does not separate right from wrong responses, and name one that would.

    Args:
        scores: (n,) float32 outcome scores of the responses of a step.
        threshold: ``positive_threshold``.

    Returns:
        The middle of the widest gap between scores that differ although all are on one side of the threshold; None if
        they are on both sides or all the same.
    """
    values = torch.unique(scores.double())  # sorted
    if len(values) < 2 or (bool(values[0] <= threshold) and bool(values[-1] > threshold)):
        return None
    gap = int(values.diff().argmax())
    return float(values[gap] + values[gap + 1]) / 2


def is_positive(scores: Tensor, threshold: float) -> Tensor:
    """Tell the positive sequences from the negative ones.

    Args:
        scores: (num_sequences,) float32 outcome scores.
        threshold: a sequence is positive when its score is above this.

    Returns:
        (num_sequences,) bool.

    Raises:
        ValueError: a score is NaN or infinite.
    """
    finite = torch.isfinite(scores)
    if not finite.all():
        row = int((~finite).nonzero()[0])
        raise ValueError(
            f"ResRL: the reward of {int((~finite).sum())} of {len(scores)} sequences is not finite (first: row {row}, "
            f"reward {float(scores[row])}); make the reward function return a finite number for every response"
        )
    return scores > threshold


def resrl_advantage(grpo_advantage: Tensor, positive: Tensor, lambda_pos: float) -> Tensor:
    """The sequence-level half of ResRL: scale the advantage of positive sequences (arXiv 2605.00380).

    The token-level half, the weight of negative tokens, is applied by the engine.

    Args:
        grpo_advantage: (num_sequences, ...) float32 group-normalised outcome advantage.
        positive: (num_sequences,) bool.
        lambda_pos: factor on positive sequences.

    Returns:
        Same shape as ``grpo_advantage``.
    """
    factor = torch.where(positive, lambda_pos, 1.0).to(grpo_advantage)
    return grpo_advantage * factor.view(-1, *[1] * (grpo_advantage.dim() - 1))


def psr_advantage(positive: Tensor) -> Tensor:
    """Positive sample reinforcement: reward r in {0, 1} (arXiv 2506.01347, PSR).

    Args:
        positive: (num_sequences,) bool, r.

    Returns:
        (num_sequences,) float32.
    """
    return positive.float()


def nsr_advantage(positive: Tensor) -> Tensor:
    """Negative sample reinforcement: reward r - 1 with r in {0, 1} (arXiv 2506.01347, NSR).

    Args:
        positive: (num_sequences,) bool, r.

    Returns:
        (num_sequences,) float32.
    """
    return positive.float() - 1.0


def w_reinforce_advantage(positive: Tensor, lambda_pos: float) -> Tensor:
    """Weighted REINFORCE: NSR plus ``lambda_pos`` times PSR (arXiv 2506.01347, W-REINFORCE).

    Args:
        positive: (num_sequences,) bool.
        lambda_pos: weight of positive sequences; the paper's is 0.1.

    Returns:
        (num_sequences,) float32.
    """
    return lambda_pos * psr_advantage(positive) + nsr_advantage(positive)
