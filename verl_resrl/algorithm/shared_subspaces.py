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
from verl_resrl.algorithm.sampling import smallest_keys_per_group
from verl_resrl.algorithm.subspace import Subspaces, fit_subspaces, take


def subspaces_of_groups(
    hidden: Tensor,
    rows: Tensor,
    number: Tensor,
    positive: Tensor,
    keys: Tensor,
    num_groups: int,
    config: ResRLConfig,
    seed: int,
    exchange: Exchange,
) -> tuple[Subspaces, Tensor]:
    """Fit each group's subspace on the rank that owns it and bring it to those that hold tokens of the group.

    Args:
        hidden: hidden states, on the device of ``rows`` or in host memory.
        rows: (m,) indices of the tokens of active groups, group after group.
        number: (m,) group of each of them.
        positive: (m,) bool.
        keys: (num_tokens,) int64, tokens of a group with the smallest ones are chosen.
        num_groups: number of active groups.
        config: settings.
        seed: of the iteration.
        exchange: to the other ranks.

    Returns:
        Subspaces of the groups present here, in their order, and which ones these are: (num_groups,) bool.
    """
    present = torch.bincount(number, minlength=num_groups) > 0
    chosen, chosen_number = _choose(rows[positive], number[positive], keys, config.max_positive_tokens, exchange)
    if exchange.size == 1:
        counts = torch.bincount(chosen_number, minlength=num_groups)
        return fit_subspaces(hidden, chosen, counts, config.rank, seed, config.max_workspace_gb), present

    owner = chosen_number % exchange.size
    states = exchange.send(take(hidden, chosen), owner)
    received_keys, received_number = exchange.send(keys[chosen], owner), exchange.send(chosen_number, owner)
    order = torch.argsort(received_keys, stable=True)
    order = order[torch.argsort(received_number[order], stable=True)]
    owned = torch.arange(num_groups, device=rows.device)[exchange.rank :: exchange.size]
    counts = torch.bincount(received_number, minlength=num_groups)[owned]
    fitted = fit_subspaces(states, order, counts, config.rank, seed, config.max_workspace_gb)

    wanted = exchange.gather(present[None])[:, owned]  # (ranks, owned groups)
    rank, index = wanted.nonzero(as_tuple=True)
    order = torch.argsort(exchange.send(owned[index], rank))
    fields = (exchange.send(field[index], rank)[order] for field in (fitted.centroid, fitted.basis, fitted.rms))
    return Subspaces(*fields), present


def _choose(rows: Tensor, number: Tensor, keys: Tensor, limit: int, exchange: Exchange) -> tuple[Tensor, Tensor]:
    """Choose positive tokens: those of the ``limit`` smallest keys of each group over all ranks.

    Returns:
        Their indices and groups as far as they are here, ordered by group and key.
    """
    best = smallest_keys_per_group(number, keys[rows], limit)
    if exchange.size > 1:
        rank = torch.full_like(best, exchange.rank)
        candidates = exchange.gather(torch.stack([number[best], keys[rows[best]], rank, best], 1))
        candidates = candidates[smallest_keys_per_group(candidates[:, 0], candidates[:, 1], limit)]
        best = candidates[candidates[:, 2] == exchange.rank, 3]
    return rows[best], number[best]
