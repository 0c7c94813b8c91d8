# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The seeded choice of tokens against plain Python."""

from collections import defaultdict

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from verl_resrl.algorithm.sampling import hash64, positions_in_runs, smallest_keys_per_group

INT64 = st.integers(min_value=-(2**63), max_value=2**63 - 1)
GOLDEN = 0x9E3779B97F4A7C15
# first outputs of the published SplitMix64 generator for two seeds
PUBLISHED = {
    0: [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F],
    1234567: [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431],
}


def splitmix64(state: int) -> int:
    """One output of SplitMix64 by arbitrary-precision integers."""
    z = (state + GOLDEN) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


def unsigned(value: int) -> int:
    return value % 2**64


def signed(value: int) -> int:
    value %= 2**64
    return value - 2**64 if value >= 2**63 else value


@pytest.mark.parametrize("seed", PUBLISHED)
def test_hash64_gives_the_published_values_of_splitmix64(seed: int) -> None:
    states = torch.tensor([signed(seed + i * GOLDEN) for i in range(len(PUBLISHED[seed]))])
    assert [unsigned(value) for value in hash64(states).tolist()] == PUBLISHED[seed]


@given(st.lists(st.tuples(INT64, INT64, INT64), min_size=1, max_size=20))
def test_hash64_chains_its_parts(parts: list[tuple[int, int, int]]) -> None:
    columns = [torch.tensor(column) for column in zip(*parts, strict=True)]
    expected = [splitmix64(c + splitmix64(b + splitmix64(a))) for a, b, c in parts]
    assert [unsigned(value) for value in hash64(*columns).tolist()] == expected


@given(st.lists(INT64, min_size=1, max_size=5), st.integers(min_value=0, max_value=2**31))
def test_hash64_takes_an_integer_as_a_part(values: list[int], seed: int) -> None:
    column = torch.tensor(values)
    assert torch.equal(hash64(column, seed), hash64(column, torch.full_like(column, seed)))


def test_hash64_is_uniform_and_depends_on_the_order_of_its_parts() -> None:
    a, b = torch.arange(256).repeat_interleave(256), torch.arange(256).repeat(256)
    values = hash64(a, b)
    n = len(values)
    assert len(torch.unique(values)) == n
    for shift in range(64):  # every bit is 1 half of the time: 5 standard deviations of a fair coin
        ones = int(((values >> shift) & 1).sum())
        assert abs(ones - n / 2) < 5 * (n / 4) ** 0.5, f"bit {shift}"
    for shift in (0, 28, 56):  # bytes are equally frequent: chi-square with 255 degrees of freedom, p = 1e-6
        counts = torch.bincount((values >> shift) & 255, minlength=256).double()
        assert float(((counts - n / 256) ** 2 / (n / 256)).sum()) < 374
    assert not torch.equal(values, hash64(b, a))


@given(st.lists(st.integers(min_value=-3, max_value=3), max_size=40))
def test_positions_in_runs_counts_earlier_occurrences(ids: list[int]) -> None:
    expected = [ids[:i].count(value) for i, value in enumerate(ids)]
    assert positions_in_runs(torch.tensor(ids, dtype=torch.int64)).tolist() == expected


@given(
    st.lists(st.tuples(st.integers(min_value=0, max_value=4), INT64), max_size=40),
    st.integers(min_value=1, max_value=12),
)
def test_smallest_keys_per_group_is_sorted_and_cut(elements: list[tuple[int, int]], limit: int) -> None:
    groups = torch.tensor([group for group, _ in elements], dtype=torch.int64)
    keys = torch.tensor([key for _, key in elements], dtype=torch.int64)
    by_group = defaultdict(list)
    for index, (group, key) in enumerate(elements):
        by_group[group].append((key, index))
    expected = [index for group in sorted(by_group) for _, index in sorted(by_group[group])[:limit]]
    assert smallest_keys_per_group(groups, keys, limit).tolist() == expected


def test_smallest_keys_per_group_is_the_same_for_any_order() -> None:
    generator = torch.Generator().manual_seed(0)
    groups = torch.randint(0, 5, (200,), generator=generator)
    keys = hash64(torch.arange(200))
    order = torch.randperm(200, generator=generator)
    chosen = smallest_keys_per_group(groups, keys, 7)
    assert torch.equal(order[smallest_keys_per_group(groups[order], keys[order], 7)], chosen)
