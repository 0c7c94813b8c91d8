# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Controls of ResRL: what is left of its effect when the weights no longer know which token they belong to?

``uniform_weights`` keeps a group's mean weight and nothing else, ``shuffled_weights`` the whole distribution of its
weights. A method that beats both must owe it to where the weights are. The other controls, entropy in place of the
residual and interference reversed, are a matter of what ``weighting.residual_to_weight`` is given and told.

Both are functions of what a token is, not of the order of the batch or of the rank that holds the token.
"""

import torch
from torch import Tensor

from verl_resrl.algorithm.exchange import Exchange
from verl_resrl.algorithm.sampling import hash64, smallest_keys_per_group

FIXED_POINT = 2.0**30  # sums of integers are the same in any order; a group may have 2^33 tokens


def uniform_weights(weights: Tensor, group: Tensor, num_groups: int, exchange: Exchange) -> Tensor:
    """Give every token the mean weight of its group.

    Args:
        weights: (n,) float32 in [0, 1], of negative tokens.
        group: (n,) int64 group of each token, in [0, num_groups).
        num_groups: number of groups, on all ranks the same.
        exchange: to the ranks that hold the rest of the groups.

    Returns:
        (n,) float32, the same bits whatever the order of the tokens and the number of ranks.
    """
    fixed = (weights.double() * FIXED_POINT).round().long()
    total = torch.zeros(num_groups, dtype=torch.int64, device=weights.device).index_add_(0, group, fixed)
    total, count = exchange.sum(total), exchange.sum(torch.bincount(group, minlength=num_groups))
    return (total.double() / FIXED_POINT / count)[group].float()


def shuffled_weights(weights: Tensor, group: Tensor, keys: Tensor, seed: int, exchange: Exchange) -> Tensor:
    """Permute the weights within each group at random.

    The tokens of a group are put in order by one hash of their keys and in another order by a second hash: the r-th
    of the first order gets the weight of the r-th of the second.

    Args:
        weights: (n,) float32, of negative tokens.
        group: (n,) int64 group of each token, numbered alike on all ranks.
        keys: (n,) int64 identity of each token. Tokens with equal keys, as those of equal responses to one prompt,
            share their places in the order: which of them gets which of their weights is open.
        seed: of the permutation.
        exchange: to the ranks that hold the rest of the groups.

    Returns:
        (n,) float32: over all ranks, a permutation of the weights of each group.
    """
    rank = torch.full_like(group, exchange.rank)
    rank, all_groups, all_keys = exchange.gather(torch.stack([rank, group, keys], 1)).unbind(1)
    all_weights = exchange.gather(weights)
    receivers = smallest_keys_per_group(all_groups, hash64(all_keys, seed, 0), limit=len(all_keys))
    givers = smallest_keys_per_group(all_groups, hash64(all_keys, seed, 1), limit=len(all_keys))
    result = torch.empty_like(all_weights)
    result[receivers] = all_weights[givers]
    return result[rank == exchange.rank]
