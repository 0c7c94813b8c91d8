# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Positive tokens of all ranks -> the subspaces of the groups that this rank has tokens of.

A group's owner, one of the ranks, receives its sampled positive tokens and fits the subspace; every rank that has
tokens of the group receives it. On one rank nothing is sent, and the states are read where they lie.
"""

import torch
from torch import Tensor

from verl_resrl.algorithm.config import ResRLConfig
from verl_resrl.algorithm.exchange import Exchange
from verl_resrl.algorithm.sampling import hash64, smallest_keys_per_group
from verl_resrl.algorithm.subspace import Subspaces, fit_subspaces, take
from verl_resrl.algorithm.tokens import Tokens


def subspaces_of_groups(tokens: Tokens, config: ResRLConfig, seed: int, exchange: Exchange) -> tuple[Subspaces, Tensor]:
    """Fit each group's subspace on the rank that owns it and bring it to those that hold tokens of the group.

    Args:
        tokens: of active groups, group after group.
        config: settings.
        seed: of the choice of positive tokens, those with the smallest hash of their key, and of the iteration.
        exchange: to the other ranks.

    Returns:
        Subspaces of the groups present here, in their order, and which ones these are: (num_groups,) bool.
    """
    present = tokens.counts() > 0
    positives = tokens.where(tokens.positive)
    keys = hash64(positives.key, seed)
    chosen = _choose(positives.group, keys, config.max_positive_tokens, exchange)
    row, group, keys = positives.row[chosen], positives.group[chosen], keys[chosen]
    if exchange.size == 1:
        counts = torch.bincount(group, minlength=tokens.num_groups)
        return fit_subspaces(tokens.hidden, row, counts, config.rank, seed, config.max_workspace_gb), present

    owner = group % exchange.size
    states = exchange.send(take(tokens.hidden, row), owner)
    received_keys, received_group = exchange.send(keys, owner), exchange.send(group, owner)
    order = torch.argsort(received_keys, stable=True)
    order = order[torch.argsort(received_group[order], stable=True)]
    owned = torch.arange(tokens.num_groups, device=row.device)[exchange.rank :: exchange.size]
    counts = torch.bincount(received_group, minlength=tokens.num_groups)[owned]
    fitted = fit_subspaces(states, order, counts, config.rank, seed, config.max_workspace_gb)

    wanted = exchange.gather(present[None])[:, owned]  # (ranks, owned groups)
    rank, index = wanted.nonzero(as_tuple=True)
    order = torch.argsort(exchange.send(owned[index], rank))
    fields = (exchange.send(field[index], rank)[order] for field in (fitted.centroid, fitted.basis, fitted.rms))
    return Subspaces(*fields), present


def _choose(group: Tensor, keys: Tensor, limit: int, exchange: Exchange) -> Tensor:
    """Choose positive tokens: those of the ``limit`` smallest keys of each group over all ranks.

    Returns:
        Indices of those that are here, ordered by group and key.
    """
    best = smallest_keys_per_group(group, keys, limit)
    if exchange.size == 1:
        return best
    rank = torch.full_like(best, exchange.rank)
    candidates = exchange.gather(torch.stack([group[best], keys[best], rank, best], 1))
    candidates = candidates[smallest_keys_per_group(candidates[:, 0], candidates[:, 1], limit)]
    return candidates[candidates[:, 2] == exchange.rank, 3]
