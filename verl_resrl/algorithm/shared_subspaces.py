# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Positive tokens of all ranks -> the subspaces of the groups that this rank has tokens of.

A group's owner, one of the ranks, receives its sampled positive tokens and fits the subspace; every rank that has
tokens of the group receives it. On one rank nothing is sent, and the states are read where they lie.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from verl_resrl.algorithm.config import ResRLConfig
from verl_resrl.algorithm.exchange import Exchange
from verl_resrl.algorithm.sampling import hash64, smallest_keys_per_group
from verl_resrl.algorithm.subspace import Subspaces, fit_subspaces, take
from verl_resrl.algorithm.tokens import Tokens


@dataclass(frozen=True)
class GroupSubspaces:
    """The subspaces of the groups that a rank has tokens of.

    Attributes:
        subspaces: of these groups, in their order.
        present: (num_groups,) bool, which groups these are.
        row: (r,) int64 rows of tokens of this rank whose residual is known from the fit; none on a GPU.
        residual: (r,) float32, e of these tokens.
        alignment: (r,) float32, a.
    """

    subspaces: Subspaces
    present: Tensor
    row: Tensor
    residual: Tensor
    alignment: Tensor


def subspaces_of_groups(
    tokens: Tokens, config: ResRLConfig, seed: int, exchange: Exchange, importance: Tensor | None = None
) -> GroupSubspaces:
    """Fit each group's subspace on the rank that owns it and bring it to those that hold tokens of the group.

    Args:
        tokens: of active groups, group after group.
        config: settings.
        seed: of the order of a group's positive tokens, by a hash of their key: the first of them are chosen.
        exchange: to the other ranks.
        importance: (n,) float32 of each token, as in ``fit_subspaces``.
    """
    present = tokens.counts() > 0
    positives = tokens.where(tokens.positive)
    keys = hash64(positives.key, seed)
    chosen = _choose(positives.group, keys, config.max_positive_tokens, exchange)
    row, group, keys = positives.row[chosen], positives.group[chosen], keys[chosen]
    if importance is not None:
        importance = importance[tokens.positive][chosen]
    if exchange.size == 1:
        counts = torch.bincount(group, minlength=tokens.num_groups)
        fit = fit_subspaces(tokens.hidden, row, counts, config.rank, config.max_workspace_gb, importance)
        return GroupSubspaces(fit.subspaces, present, *_known(row, fit.residual, fit.alignment))

    by_owner = torch.argsort(group % exchange.size, stable=True)
    row, group, keys = row[by_owner], group[by_owner], keys[by_owner]
    owner, sender = group % exchange.size, torch.full_like(group, exchange.rank)
    states = exchange.send(take(tokens.hidden, row), owner)
    received = exchange.send(torch.stack([keys, group, sender], 1), owner)
    order = torch.argsort(received[:, 0], stable=True)
    order = order[torch.argsort(received[order, 1], stable=True)]
    owned = torch.arange(tokens.num_groups, device=row.device)[exchange.rank :: exchange.size]
    counts = torch.bincount(received[:, 1], minlength=tokens.num_groups)[owned]
    if importance is not None:
        importance = exchange.send(importance[by_owner], owner)[order]
    fit = fit_subspaces(states, order, counts, config.rank, config.max_workspace_gb, importance)

    known = _known(row, None, None)
    if fit.residual is not None and fit.alignment is not None:  # back to where the tokens came from
        values = torch.stack([fit.residual, fit.alignment], 1)
        back = exchange.send(values[torch.argsort(order)], received[:, 2])
        known = row, back[:, 0], back[:, 1]
    wanted = exchange.gather(present[None])[:, owned]  # (ranks, owned groups)
    rank, index = wanted.nonzero(as_tuple=True)
    order = torch.argsort(exchange.send(owned[index], rank))
    fitted = (fit.subspaces.centroid, fit.subspaces.basis, fit.subspaces.rms)
    subspaces = Subspaces(*(exchange.send(field[index], rank)[order] for field in fitted))
    return GroupSubspaces(subspaces, present, *known)


def _known(row: Tensor, residual: Tensor | None, alignment: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, residuals and alignments, none if the fit says none."""
    if residual is None or alignment is None:
        none = torch.empty(0, device=row.device)
        return row[:0], none, none
    return row, residual, alignment


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
