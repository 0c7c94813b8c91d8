# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""ResRL's factors on the advantages that the driver computed: weights of tokens, and of positive sequences if need be.

The estimators ``resrl`` and ``w_reinforce`` have scaled positive sequences by lambda_pos already. With any other one,
such as ``grpo``, it is done here; ``grpo`` is the one that verl tells which trajectories belong to one session of an
agent.
"""

import torch
from tensordict import TensorDict
from torch import Tensor

from verl_resrl.algorithm.advantage import is_positive
from verl_resrl.algorithm.config import ResRLConfig
from verl_resrl.algorithm.exchange import Exchange
from verl_resrl.integration.batch import PADDING_UID_PREFIX, hash_of_text, outcome_scores, positive_tokens

OWN_ESTIMATOR = "resrl"
SCALE_POSITIVES = (OWN_ESTIMATOR, "w_reinforce")  # estimators that multiply positive sequences by lambda_pos themselves


def weighted_advantages(data: TensorDict, weights: Tensor | None, config: ResRLConfig, adv_estimator: str) -> Tensor:
    """Multiply advantages by ResRL's factors.

    Args:
        data: mini-batch with the jagged fields advantages and, unless the estimator has scaled, rm_scores.
        weights: jagged (num_sequences, response length) float32; None stands for 1.
        config: settings.
        adv_estimator: ``algorithm.adv_estimator``.

    Returns:
        Jagged (num_sequences, response length) float32.
    """
    rows = list(data["advantages"].unbind())
    if weights is not None:
        rows = [row * w for row, w in zip(rows, weights.unbind(), strict=True)]
    if adv_estimator not in SCALE_POSITIVES:
        positive = is_positive(outcome_scores(data), config.positive_threshold).tolist()
        rows = [row * config.lambda_pos if p else row for row, p in zip(rows, positive, strict=True)]
    return torch.nested.as_nested_tensor(rows, layout=torch.jagged)


def check_sessions(data: TensorDict, adv_estimator: str, exchange: Exchange) -> None:
    """Refuse several trajectories of one session with an estimator that would count them as several rewards.

    Args:
        data: batch with the field uid and, if it comes from verl's agent loops, session_id.
        adv_estimator: ``algorithm.adv_estimator``.
        exchange: to the ranks that hold the rest of the batch.

    Raises:
        ValueError: on every rank; says what to set.
    """
    if "session_id" not in data or adv_estimator == "grpo":
        return
    pairs = zip(data["uid"], data["session_id"], strict=True)
    names = [f"{uid}_{int(session)}" for uid, session in pairs if not str(uid).startswith(PADDING_UID_PREFIX)]
    sessions = exchange.gather(torch.tensor([hash_of_text(name) for name in names], dtype=torch.int64))
    more = len(sessions) - len(torch.unique(sessions))
    if more:
        raise ValueError(
            f"ResRL: the agent loop returned {more} more trajectories than sessions, and "
            f"algorithm.adv_estimator={adv_estimator} would count the reward of a session once for each: set "
            "algorithm.adv_estimator=grpo, which counts it once (lambda_pos is then applied in the update)"
        )


def negative_advantage_scale(data: TensorDict, exchange: Exchange) -> float:
    """Share of the negative advantage that the weights leave: sum |w A| / sum |A| over tokens with A < 0."""
    size = data["advantages"].values().clamp(max=0).abs().double()
    left = torch.stack([(size * data["resrl_weights"].values()).sum(), size.sum()])
    weighted, whole = exchange.sum(left).tolist()
    return weighted / whole if whole > 0 else 1.0


def predicted_displacement(data: TensorDict, positive_threshold: float, exchange: Exchange) -> float | None:
    """Foresee what an update on the wrong responses of a mini-batch does to the right ones (arXiv 2505.18830).

    To first order in the output head, a step of unit length on the negative tokens changes the positive log-likelihood
    of their groups by the sum of A_t w_t I_t: advantage, weight, interference.

    Args:
        data: mini-batch with the jagged fields advantages, rm_scores, resrl_weights and, if it was computed,
            resrl_interference.
        positive_threshold: a sequence is positive when its outcome score is above.
        exchange: to the ranks that hold the rest of the mini-batch.

    Returns:
        This sum for each positive token of the groups that got weights, below 0 where right responses will become less
        likely. Its scale says nothing: learning rate and optimizer are left out. None without interference.
    """
    if "resrl_interference" not in data:
        return None
    score, advantage = data["resrl_interference"].values().double(), data["advantages"].values().double()
    positive = positive_tokens(data, positive_threshold).to(score.device)
    pushes = torch.where(positive, 0.0, advantage * data["resrl_weights"].values() * score)
    positive = positive & ~score.isnan()
    total, tokens = exchange.sum(torch.stack([pushes.nansum(), positive.double().sum()])).tolist()
    return total / tokens if tokens else None
