# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Which prompt groups get weights: right and wrong responses, enough right tokens, every hidden state finite."""

import torch
from torch import Tensor

from verl_resrl.algorithm.config import ResRLConfig
from verl_resrl.algorithm.exchange import Exchange
from verl_resrl.algorithm.subspace import take
from verl_resrl.algorithm.tokens import Tokens

ROWS_AT_A_TIME = 1024  # of the check for states that are not finite, which a CPU brings to float32


class NonFiniteError(ValueError):
    """Hidden states, or what else stands for tokens, are NaN or infinite.

    Attributes:
        sequences: (n,) int64, sequences of this rank that have such tokens; empty if only other ranks do.
    """

    def __init__(self, sequences: Tensor, message: str) -> None:
        super().__init__(message)
        self.sequences = sequences


def active_groups(group: Tensor, positive: Tensor, num_groups: int, config: ResRLConfig, exchange: Exchange) -> Tensor:
    """Tell which groups get weights: enough positive tokens and at least one negative token.

    Args:
        group: (num_tokens,) int64 group of each token, in [0, num_groups).
        positive: (num_tokens,) bool, whether the token's sequence is positive.
        num_groups: number of groups.
        config: settings.
        exchange: to the ranks that hold the rest of the batch.

    Returns:
        (num_groups,) bool.
    """
    positives = exchange.sum(torch.bincount(group[positive], minlength=num_groups))
    negatives = exchange.sum(torch.bincount(group[~positive], minlength=num_groups))
    return (positives >= config.min_positive_tokens) & (negatives > 0)


def non_finite_groups(
    tokens: Tokens, sequence_ids: Tensor, config: ResRLConfig, exchange: Exchange, name: str = "hidden states"
) -> Tensor:
    """Tell which groups have a hidden state that is NaN or infinite.

    Args:
        tokens: whose states are looked at.
        sequence_ids: (num_rows,) int64, the sequence of each token, for the error.
        config: settings.
        exchange: to the ranks that hold the rest of the batch.
        name: of what stands in ``tokens.hidden``, for the error.

    Returns:
        (num_groups,) bool, on all ranks the same.

    Raises:
        NonFiniteError: there is one, and ``config.on_failure`` is "stop"; raised on every rank.
    """
    sums = [take(tokens.hidden, part).sum(1, dtype=torch.float32) for part in tokens.row.split(ROWS_AT_A_TIME)]
    bad = tokens.where(~torch.isfinite(torch.cat(sums)))
    per_group = exchange.sum(bad.counts())
    if config.on_failure == "stop" and per_group.any():
        message = f"ResRL: {name} of {int(per_group.sum())} response tokens are NaN or infinite; check the model"
        raise NonFiniteError(torch.unique(sequence_ids[bad.row]), message)
    return per_group > 0
