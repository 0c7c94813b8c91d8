# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Quantiles of every group at once, and of numbers that are spread over ranks."""

from collections.abc import Sequence

import torch
from torch import Tensor

from verl_resrl.algorithm.exchange import Exchange


def sorted_values(values: Tensor, places: Sequence[int], exchange: Exchange) -> list[float]:
    """What would stand at some places if the numbers of all ranks were sorted together.

    Ranks add up how often the upper 11 of their 32 bits occur, then the next ones below the right upper ones, then the
    rest: whatever the batch and the number of ranks, no rank holds more than its own numbers and such a table.

    Args:
        values: (n,) float32 of this rank, none of them NaN.
        places: each in [0, number of all values).
        exchange: to the ranks that hold the others.

    Returns:
        The float32 value at each place.
    """
    keys = _ascending(values)
    found = []
    for place in places:
        left, key = keys, 0
        for shift, size in ((21, 1 << 11), (10, 1 << 11), (0, 1 << 10)):
            digits = (left >> shift) & (size - 1)
            counts = exchange.sum(torch.bincount(digits, minlength=size))
            digit = int(torch.searchsorted(counts.cumsum(0), place, right=True))
            place -= int(counts[:digit].sum())
            left, key = left[digits == digit], key | digit << shift
        found.append(float(_floats(torch.tensor([key]))))
    return found


def _ascending(values: Tensor) -> Tensor:
    """(n,) float32 -> int64 in [0, 2**32) with the same order.

    Bits of floats sort like the floats once the order of the negative ones, which have the sign bit, is reversed;
    adding 0 makes -0 into 0.
    """
    bits = (values + 0.0).view(torch.int32)
    return torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).long() + (1 << 31)


def _floats(ascending: Tensor) -> Tensor:
    """What ``_ascending`` was made of."""
    bits = (ascending - (1 << 31)).int()
    return torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).view(torch.float32)


def grouped_quantiles(values: Tensor, group: Tensor, num_groups: int, quantiles: tuple[float, ...]) -> Tensor:
    """Linear-interpolation quantiles of every group by one sort.

    Args:
        values: (n,) float32, none of them NaN.
        group: (n,) int64 in [0, num_groups).
        num_groups: number of groups, below 2**31.
        quantiles: each in [0, 1].

    Returns:
        (num_groups, len(quantiles)) float64, as ``torch.quantile`` has it; NaN for an empty group.
    """
    # one int64 key holds the group and the value
    ordered = _floats(torch.sort((group << 32) | _ascending(values)).values & 0xFFFFFFFF).double()
    counts = torch.bincount(group, minlength=num_groups)
    first = counts.cumsum(0) - counts
    last = (counts - 1).clamp_min(0)
    rank = torch.tensor(quantiles, dtype=torch.float64, device=values.device) * last[:, None]
    below = rank.floor().long()
    above = torch.minimum(below + 1, last[:, None])
    if not len(ordered):
        return torch.full((num_groups, len(quantiles)), torch.nan, dtype=torch.float64, device=values.device)
    limit = len(ordered) - 1
    lower = ordered[(first[:, None] + below).clamp(max=limit)]
    upper = ordered[(first[:, None] + above).clamp(max=limit)]
    result = lower + (upper - lower) * (rank - below)
    return torch.where(counts[:, None] > 0, result, torch.nan)
