# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Policy loss ``resrl``: verl's clipped PPO loss and a diagnostic of the positive responses."""

from typing import Any

import torch
from torch import Tensor
from verl.trainer.ppo.core_algos import get_policy_loss_fn, register_policy_loss

# summed over micro-batches and ranks by the engine, which reports their ratio
SHIFT_SUM = "resrl/positive_logp_shift_sum"
POSITIVE_TOKENS = "resrl/positive_tokens"


@register_policy_loss("resrl")
def resrl(
    old_log_prob: Tensor, log_prob: Tensor, advantages: Tensor, response_mask: Tensor, *args: Any, **kwargs: Any
) -> tuple[Tensor, dict[str, Any]]:
    """Compute verl's ``vanilla`` loss and how far the update has moved the positive responses.

    The shift, log pi_new - log pi_old on tokens of positive sequences, shows Lazy Likelihood Displacement
    (arXiv 2505.18830): it falls below 0 when learning from negatives makes correct responses less likely.

    Args:
        old_log_prob: (batch, response_length) float32, under the old policy.
        log_prob: (batch, response_length) float32, under the current policy.
        advantages: (batch, response_length) float32, weights applied.
        response_mask: (batch, response_length) bool.
        args: passed on to verl's loss, like kwargs.
        kwargs: passed on to verl's loss.

    Returns:
        The loss and its metrics.
    """
    vanilla = get_policy_loss_fn("vanilla")
    loss, metrics = vanilla(old_log_prob, log_prob, advantages, response_mask, *args, **kwargs)
    positive = (advantages > 0) & response_mask.bool()
    shift = torch.where(positive, log_prob.detach() - old_log_prob, 0.0)
    return loss, metrics | {SHIFT_SUM: shift.sum().item(), POSITIVE_TOKENS: positive.sum().item()}
