# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Seeded choice of the positive tokens that span a group's subspace.

The choice is the k smallest values of a hash, not the output of a random number generator, so that it depends on
what a token is (its key) and never on the order of the batch or on the machine that holds the token.
"""

import torch
from torch import Tensor


def _signed(constant: int) -> int:
    return constant - (1 << 64) if constant >= 1 << 63 else constant


_GOLDEN = _signed(0x9E3779B97F4A7C15)
_MIX_1 = _signed(0xBF58476D1CE4E5B9)
_MIX_2 = _signed(0x94D049BB133111EB)


def hash64(*parts: Tensor | int) -> Tensor:
    """Hash integers into uniformly distributed ones, elementwise.

    Each part goes through the finalizer of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number
    generators, OOPSLA 2014); int64 arithmetic wraps around.

    Args:
        parts: integers or int64 tensors of shapes that broadcast; at least one is a tensor.

    Returns:
        int64 tensor of the broadcast shape.
    """
    state: Tensor | int = 0
    for part in parts:
        z = part + state + torch.tensor(_GOLDEN)
        z = (z ^ _shift_right(z, 30)) * _MIX_1
        z = (z ^ _shift_right(z, 27)) * _MIX_2
        state = z ^ _shift_right(z, 31)
    assert isinstance(state, Tensor)
    return state


def _shift_right(z: Tensor, bits: int) -> Tensor:
    """Logical shift: torch's >> on int64 copies the sign bit."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)


def positions_in_runs(ids: Tensor) -> Tensor:
    """Count how often each element's value has occurred before it.

    Args:
        ids: (n,) int64, in any order.

    Returns:
        (n,) int64: 0 for the first occurrence of a value, 1 for the second, and so on.
    """
    order = torch.argsort(ids, stable=True)
    _, counts = torch.unique_consecutive(ids[order], return_counts=True)
    start = (counts.cumsum(0) - counts).repeat_interleave(counts)
    ranks = torch.empty_like(ids)
    ranks[order] = torch.arange(ids.numel(), device=ids.device) - start
    return ranks


def smallest_keys_per_group(groups: Tensor, keys: Tensor, limit: int) -> Tensor:
    """Pick the ``limit`` elements of each group with the smallest keys.

    Args:
        groups: (n,) int64 group of each element.
        keys: (n,) int64, best unique within a group.
        limit: maximum number of elements per group.

    Returns:
        (m,) int64 indices, ordered by group and then by key: the same elements in the same order whatever the
        order of the input.
    """
    order = torch.argsort(keys, stable=True)
    order = order[torch.argsort(groups[order], stable=True)]
    return order[positions_in_runs(groups[order]) < limit]
