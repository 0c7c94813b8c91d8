# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Scores of negative tokens -> weights: what decides how much a token of a wrong response is penalised.

ResRL (arXiv 2605.00380): w = xi + (1 - xi) z with z the residual, clamped and scaled between two quantiles of the
residuals of the group's negative tokens. ``ResRLConfig.weighting`` chooses another score, or a control: with
interference I as the score, w = xi + (1 - xi) (1 - z), most harm, least penalty.
"""

import torch
from torch import Tensor

from verl_resrl.algorithm.config import ResRLConfig
from verl_resrl.algorithm.controls import uniform_weights
from verl_resrl.algorithm.exchange import Exchange
from verl_resrl.algorithm.quantiles import grouped_quantiles
from verl_resrl.algorithm.tokens import Tokens

# relative on purpose: massive activations shrink residuals by orders of magnitude, not their information
DEGENERATE_SPREAD = 1e-4


def weights_of_negatives(score: Tensor, tokens: Tokens, config: ResRLConfig, exchange: Exchange) -> Tensor:
    """Weigh the negative tokens of active groups.

    Args:
        score: (n,) float32 of each token: its residual, or with ``config.weighting`` "entropy" its entropy, with
            "interference" or "interference_reversed" its interference.
        tokens: the n negative tokens, group after group.
        config: settings.
        exchange: to the ranks that hold the rest of the groups.

    Returns:
        (n,) float32 in [xi, 1].
    """
    quantiles = (config.q_low, config.q_high)
    limits = grouped_quantiles(exchange.gather(score), exchange.gather(tokens.group), tokens.num_groups, quantiles)
    weights = residual_to_weight(score, tokens.group, limits, config)
    if config.weighting == "uniform":
        return uniform_weights(weights, tokens.group, tokens.num_groups, exchange)
    return weights


def residual_to_weight(residual: Tensor, group: Tensor, limits: Tensor, config: ResRLConfig) -> Tensor:
    """Map residuals of negative tokens to weights, group by group (arXiv 2605.00380).

    Args:
        residual: (n,) float32, or another score in its place.
        group: (n,) int64 group of each token, in [0, num_groups).
        limits: (num_groups, 2) float64, quantiles ``q_low`` and ``q_high`` of each group's residuals.
        config: settings.

    Returns:
        (n,) float32 in [xi, 1]; (1 + xi) / 2 throughout a group whose residuals hardly differ.
    """
    low, high = limits.unbind(1)
    degenerate = high - low <= DEGENERATE_SPREAD * torch.maximum(low.abs(), high.abs())
    spread = torch.where(degenerate, 1.0, high - low)
    z = ((residual - low[group]) / spread[group]).clamp(0.0, 1.0)
    z = torch.where(degenerate[group], 0.5, z)
    if config.weighting == "interference":
        z = 1.0 - z
    return (config.xi + (1.0 - config.xi) * z).float()
