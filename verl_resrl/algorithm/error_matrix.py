# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""M = sum over positive tokens of delta c^T: what ``interference`` needs to know of a group's positive tokens.

delta is a token's sparse prediction error, c the coordinates of its head input: (tokens of the support, directions) a
group. Its numbers are summed up as integers, so that the sum is the same to the bit in any order and on any number of
ranks: each is a multiple of 2^-38 of the largest coordinate of its group, finer than float32, which it comes from.
"""

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag, pad

from verl_resrl.algorithm.exchange import Exchange
from verl_resrl.algorithm.threads import for_each
from verl_resrl.algorithm.tokens import Tokens

FRACTION_BITS = 38  # leaves room for 2^24 positive tokens in an int64
BYTES_OF_ENTRY = 16  # of M: the sum as int64, once more while it is exchanged, and then as float32
ROWS_PER_SUM = {"cpu": 64}  # tokens whose terms are in the cache together; what is summed first does not matter
VOCABULARY = 2**32  # a group and a token of the vocabulary in one int64


class ErrorMatrix:
    """M of the groups of one chunk.

    Args:
        group: (n,) int64 group of each token of these groups on this rank.
        ids: (n, m) int64 support of its prediction error.
        errors: (n, m) float32 in [-1, 1], the error.
        coordinates: (n, k) float32 of its head input.
        positive: (n,) bool, whether its sequence is positive.
        num_groups: number of groups, those of other chunks included.
        size: tokens that are worked on together.
        exchange: to the ranks that hold the rest of these groups.
    """

    def __init__(
        self,
        group: Tensor,
        ids: Tensor,
        errors: Tensor,
        coordinates: Tensor,
        positive: Tensor,
        num_groups: int,
        size: int,
        exchange: Exchange,
    ) -> None:
        self._size, self._errors, self._coordinates = size, errors, coordinates
        keys = _keys(group, ids)
        support = torch.unique(keys[positive])
        if exchange.size > 1:
            support = torch.unique(exchange.gather(support))
        self._rows = _rows(keys, support)
        group, rows, errors, coordinates = (part[positive] for part in (group, self._rows, errors, coordinates))
        largest = torch.zeros(num_groups, device=group.device)
        largest = largest.scatter_reduce_(0, group, coordinates.abs().amax(1), "amax")
        shift = FRACTION_BITS - torch.frexp(exchange.gather(largest[None]).amax(0)).exponent
        # one row more: what is outside of the support
        total = torch.zeros(len(support) + 1, coordinates.shape[1], dtype=torch.int64, device=group.device)
        scale = shift[group, None]
        at_a_time = ROWS_PER_SUM.get(group.device.type, size)

        def add(columns: Tensor) -> None:
            here = slice(int(columns[0]), int(columns[-1]) + 1)
            for first in range(0, len(group), at_a_time):
                own = slice(first, first + at_a_time)
                terms = errors[own, :, None] * torch.ldexp(coordinates[own, here], scale[own])[:, None]
                total[:, here].index_add_(0, rows[own].flatten(), terms.round_().long().flatten(0, 1))

        # which would add to the same rows, but not columns
        threads = torch.get_num_threads() if group.device.type == "cpu" else 1
        for_each(add, torch.arange(total.shape[1]).chunk(threads), group.device)
        total = exchange.sum(total)
        self._matrix = total.float()
        self._matrix[:-1] *= torch.ldexp(torch.ones_like(largest), -shift)[support // VOCABULARY, None]

    def scores(self) -> Tensor:
        """delta^T M c of each token, (n,) float32."""
        result = torch.empty(len(self._rows), device=self._rows.device)

        def score(first: int) -> None:
            own = slice(first, first + self._size)
            rows = self._rows[own]
            more = (0, 0, 0, self._size - len(rows))  # to one shape, so that no token's bits depend on others
            delta, c = pad(self._errors[own], more), pad(self._coordinates[own], more)
            sums = embedding_bag(pad(rows, more), self._matrix, per_sample_weights=delta, mode="sum")
            result[own] = (sums * c).sum(-1)[: len(rows)]

        for_each(score, range(0, len(result), self._size), result.device)
        return result


def chunks_of_groups(tokens: Tokens, ids: Tensor, limit: float, exchange: Exchange) -> list[tuple[int, int]]:
    """Split the groups into runs whose matrices fit the workspace together; one group at least, whatever it needs.

    Args:
        tokens: group after group.
        ids: (n, m) int64 support of their prediction errors.
        limit: rows that fit; 0 for each group on its own.
        exchange: to the other ranks, which split alike.

    Returns:
        (first, last + 1) of each run.
    """
    if not limit:
        return [(group, group + 1) for group in range(tokens.num_groups)]
    of_groups = zip(*(part.split(tokens.counts().tolist()) for part in (ids, tokens.positive)), strict=True)
    support = torch.tensor([len(torch.unique(own[positive])) for own, positive in of_groups], device=ids.device)
    rows = exchange.sum(support).tolist()
    starts, used = [0], 0
    for group, more in enumerate(rows):
        if used + more > limit and group > starts[-1]:
            starts.append(group)
            used = 0
        used += more
    return list(zip(starts, [*starts[1:], tokens.num_groups], strict=True))


def _rows(keys: Tensor, support: Tensor) -> Tensor:
    """(n, m) int64 rows of M; the last row, which is zero, for what no positive token has."""
    if not len(support):
        return torch.zeros_like(keys)
    rows = torch.searchsorted(support, keys).clamp(max=len(support) - 1)
    return torch.where(support[rows] == keys, rows, len(support))


def _keys(group: Tensor, ids: Tensor) -> Tensor:
    """(n, m) int64: group and token of the vocabulary in one number."""
    return group[:, None] * VOCABULARY + ids
