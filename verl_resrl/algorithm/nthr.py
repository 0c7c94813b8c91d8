# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""NTHR (arXiv 2505.18830): tokens whose interference is above a threshold have their penalty reduced.

The threshold is tau = beta min_i mean_k s_ik over the positive responses i of a group, with s_ik the interference of
their own tokens k; a negative token with s > tau has its advantage multiplied by eta = 2 |0.5 - p|, p the share of
right responses in the group: by 0 where half of them are right.
"""

import torch
from torch import Tensor

from verl_resrl.algorithm.exchange import Exchange
from verl_resrl.algorithm.tokens import Tokens


def nthr_weights(
    score: Tensor, tokens: Tokens, sequence: Tensor, share_right: Tensor, beta: float, exchange: Exchange
) -> Tensor:
    """Weigh the tokens of active groups by NTHR's threshold.

    Args:
        score: (n,) float32 interference of each token.
        tokens: the n tokens, of positive and of negative sequences.
        sequence: (n,) int64, the sequence of each token; a sequence lies on one rank as a whole.
        share_right: (num_groups,) float64, p of each group.
        beta: factor on the threshold.
        exchange: to the ranks that hold the rest of the groups.

    Returns:
        (n,) float32: eta of its group for a negative token above the threshold, else 1; the same bits on a CPU
        whatever the order of the tokens and the number of ranks.
    """
    values, group, sequence = score[tokens.positive].double(), tokens.group[tokens.positive], sequence[tokens.positive]
    ascending = torch.argsort(values)  # floats are added up in one order, whatever that of the batch
    values, group, sequence = values[ascending], group[ascending], sequence[ascending]
    size = int(sequence.max()) + 1 if len(sequence) else 0
    total = values.new_zeros(size).index_add_(0, sequence, values)
    group_of = torch.zeros(size, dtype=torch.int64, device=values.device).scatter_(0, sequence, group)
    count = torch.bincount(sequence, minlength=size)
    mean, group_of = exchange.gather((total / count)[count > 0]), exchange.gather(group_of[count > 0])
    smallest = mean.new_full((tokens.num_groups,), torch.inf).scatter_reduce_(0, group_of, mean, "amin")
    above = ~tokens.positive & (score.double() > (beta * smallest)[tokens.group])
    eta = (2 * (0.5 - share_right).abs()).float()
    return torch.where(above, eta[tokens.group], 1.0)


def share_of_right(group: Tensor, is_positive: Tensor, num_groups: int, exchange: Exchange) -> Tensor:
    """p: the share of right ones among the responses of each group.

    Args:
        group: (num_sequences,) int64 group of each sequence, in [0, num_groups).
        is_positive: (num_sequences,) bool.
        num_groups: number of groups, on all ranks the same.
        exchange: to the ranks that hold the rest of the groups.

    Returns:
        (num_groups,) float64.
    """
    right = exchange.sum(torch.bincount(group[is_positive], minlength=num_groups))
    return right.double() / exchange.sum(torch.bincount(group, minlength=num_groups))
