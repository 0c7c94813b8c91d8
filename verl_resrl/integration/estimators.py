# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Advantage estimators of ResRL and its baselines under the names that verl's configuration uses.

verl calls an estimator with the token-level rewards, the response mask, the ``algorithm`` configuration and
``index`` = the uid of each row's prompt. Our settings are in ``algorithm.resrl``, a reference to the top-level
``resrl`` node of the configuration.
"""

import logging
from collections import Counter
from typing import Any

import numpy as np
from torch import Tensor
from verl.trainer.ppo.core_algos import compute_grpo_outcome_advantage, register_adv_est

from verl_resrl.algorithm.advantage import (
    is_positive,
    nsr_advantage,
    psr_advantage,
    resrl_advantage,
    separating_threshold,
    w_reinforce_advantage,
)
from verl_resrl.algorithm.config import ResRLConfig
from verl_resrl.integration.batch import PADDING_UID_PREFIX

logger = logging.getLogger(__name__)
OWN_ESTIMATORS = ("resrl", "psr", "nsr", "w_reinforce")
KL_IN_REWARD = (
    "ResRL: algorithm.use_kl_in_reward=True would hide which responses are correct; set it to False and use "
    "actor_rollout_ref.actor.use_kl_loss=True for a KL penalty"
)
_warned = False  # once in a process is enough


def _settings(config: Any) -> ResRLConfig:
    return ResRLConfig(**(config.get("resrl") or {}))


def _positive(token_level_rewards: Tensor, response_mask: Tensor, config: Any) -> Tensor:
    if config.get("use_kl_in_reward"):
        raise ValueError(KL_IN_REWARD)
    scores, threshold = token_level_rewards.sum(-1), _settings(config).positive_threshold
    _warn_of_one_side(scores[response_mask.any(-1)], threshold)  # without the rows that verl fills a batch with
    return is_positive(scores, threshold)


def _warn_of_one_side(scores: Tensor, threshold: float) -> None:
    """Say so when a step's responses all count as right, or all as wrong, although their rewards differ."""
    global _warned
    better = separating_threshold(scores, threshold)
    if better is None or _warned:
        return
    _warned = True
    logger.warning(
        "ResRL: all %d responses of a step are %s: their rewards are %s, and resrl.positive_threshold is %g. If "
        "some are right and some wrong, set resrl.positive_threshold=%g (reward conventions: docs/settings.md)",
        len(scores),
        "positive" if float(scores.min()) > threshold else "negative",
        _few(scores),
        threshold,
        better,
    )


def _check_sessions(uids: np.ndarray, rollouts: int | None) -> None:
    """Where no engine of ours does (``advantages.check_sessions``): verl tells no estimator but grpo of sessions."""
    if rollouts is None:
        return
    most = max(Counter(uid for uid in map(str, uids) if not uid.startswith(PADDING_UID_PREFIX)).values(), default=0)
    if most > rollouts:
        raise ValueError(
            f"ResRL: a prompt has {most} trajectories, more than actor_rollout_ref.rollout.n={rollouts}: this control "
            "would count the reward of a session once for each; take +method=grpo or resrl with "
            "algorithm.adv_estimator=grpo, which count it once"
        )


def _few(scores: Tensor) -> str:
    values = [f"{value:g}" for value in scores.unique().tolist()]
    return ", ".join(values if len(values) <= 4 else [*values[:2], "...", *values[-2:]])


def _on_every_token(advantage: Tensor, response_mask: Tensor) -> tuple[Tensor, Tensor]:
    """(n,) -> advantages and returns, both (n, response_length)."""
    advantages = advantage[:, None] * response_mask
    return advantages, advantages


@register_adv_est("resrl")
def resrl(
    token_level_rewards: Tensor, response_mask: Tensor, index: np.ndarray, config: Any, **_: Any
) -> tuple[Tensor, Tensor]:
    """GRPO's outcome advantage, times lambda_pos for positive sequences (arXiv 2605.00380).

    Raises:
        ValueError: an agent's sessions have several trajectories, each of which would count as a response.
    """
    _check_sessions(index, config.get("resrl_rollouts"))
    positive = _positive(token_level_rewards, response_mask, config)
    advantages, _returns = compute_grpo_outcome_advantage(
        token_level_rewards=token_level_rewards,
        response_mask=response_mask,
        index=index,
        norm_adv_by_std_in_grpo=config.get("norm_adv_by_std_in_grpo", True),
    )
    advantages = resrl_advantage(advantages, positive, _settings(config).lambda_pos)
    return advantages, advantages


@register_adv_est("psr")
def psr(token_level_rewards: Tensor, response_mask: Tensor, config: Any, **_: Any) -> tuple[Tensor, Tensor]:
    """Reward r in {0, 1} as the advantage (arXiv 2506.01347)."""
    return _on_every_token(psr_advantage(_positive(token_level_rewards, response_mask, config)), response_mask)


@register_adv_est("nsr")
def nsr(token_level_rewards: Tensor, response_mask: Tensor, config: Any, **_: Any) -> tuple[Tensor, Tensor]:
    """Reward r - 1 with r in {0, 1} as the advantage (arXiv 2506.01347)."""
    return _on_every_token(nsr_advantage(_positive(token_level_rewards, response_mask, config)), response_mask)


@register_adv_est("w_reinforce")
def w_reinforce(token_level_rewards: Tensor, response_mask: Tensor, config: Any, **_: Any) -> tuple[Tensor, Tensor]:
    """lambda_pos for positive and -1 for negative sequences (arXiv 2506.01347)."""
    positive = _positive(token_level_rewards, response_mask, config)
    advantage = w_reinforce_advantage(positive, _settings(config).lambda_pos)
    return _on_every_token(advantage, response_mask)
