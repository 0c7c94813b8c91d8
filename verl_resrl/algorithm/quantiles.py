# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Quantiles of every group at once."""

import torch
from torch import Tensor


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
    # one int64 key holds the group and the value: bits of floats sort like the floats once the order of the negative
    # ones, which have the sign bit, is reversed; adding 0 makes -0 into 0
    bits = (values + 0.0).view(torch.int32)
    ascending = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).long() + (1 << 31)
    bits = ((torch.sort((group << 32) | ascending).values & 0xFFFFFFFF) - (1 << 31)).int()
    ordered = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).view(torch.float32).double()
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
