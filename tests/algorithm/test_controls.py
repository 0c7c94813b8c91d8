# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The controls: what they keep of a group's weights, what they take away, and that the order of tokens is nothing."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from verl_resrl import ResRLConfig, token_weights
from verl_resrl.algorithm.controls import shuffled_weights, uniform_weights
from verl_resrl.algorithm.exchange import Exchange
from verl_resrl.algorithm.sampling import hash64

ONE_RANK = Exchange()
GROUPED = st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1, width=32)), max_size=60)


def tensors(elements: list[tuple[int, float]]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    group = torch.tensor([g for g, _ in elements], dtype=torch.int64)
    weights = torch.tensor([w for _, w in elements], dtype=torch.float32)
    return weights, group, hash64(torch.arange(len(elements)))


@given(GROUPED)
def test_uniform_is_the_mean_of_each_group(elements: list[tuple[int, float]]) -> None:
    weights, group, _ = tensors(elements)
    result = uniform_weights(weights, group, 4, ONE_RANK)
    for g in range(4):
        mine = group == g
        if mine.any():
            assert (result[mine] == result[mine][0]).all()
            assert float(result[mine][0]) == pytest.approx(np.mean(weights[mine].double().numpy()), abs=1e-7)
    order = torch.randperm(len(weights), generator=torch.Generator().manual_seed(0))
    assert torch.equal(uniform_weights(weights[order], group[order], 4, ONE_RANK), result[order])  # to the bit


@given(GROUPED, st.integers(0, 2**31))
def test_shuffled_is_a_permutation_of_each_group(elements: list[tuple[int, float]], seed: int) -> None:
    weights, group, keys = tensors(elements)
    result = shuffled_weights(weights, group, keys, seed, ONE_RANK)
    for g in range(4):
        assert torch.equal(result[group == g].sort().values, weights[group == g].sort().values)
    order = torch.randperm(len(weights), generator=torch.Generator().manual_seed(seed))
    assert torch.equal(shuffled_weights(weights[order], group[order], keys[order], seed, ONE_RANK), result[order])


def test_every_permutation_comes_up_alike() -> None:
    weights, group, keys = torch.arange(3.0), torch.zeros(3, dtype=torch.int64), hash64(torch.arange(3))
    drawn = Counter(tuple(shuffled_weights(weights, group, keys, seed, ONE_RANK).tolist()) for seed in range(1200))
    assert len(drawn) == 6
    # 200 each on average, with a standard deviation of 13
    assert 150 < min(drawn.values()) <= max(drawn.values()) < 250


def test_equal_keys_share_their_weights() -> None:
    """Two responses of the same text: which of them gets which of two weights is open, no weight is lost."""
    weights, group = torch.tensor([0.1, 0.2, 0.1, 0.2]), torch.zeros(4, dtype=torch.int64)
    result = shuffled_weights(weights, group, torch.tensor([7, 8, 7, 8]), 0, ONE_RANK)
    assert torch.equal(result.sort().values, weights.sort().values)


def test_entropy_is_needed_by_its_weighting() -> None:
    arguments = (torch.zeros(2, 4), torch.tensor([0, 1]), torch.tensor([0, 0]), torch.tensor([True, False]))
    with pytest.raises(ValueError, match="weighting='entropy' needs entropy"):
        token_weights(*arguments, ResRLConfig(weighting="entropy"))
    with pytest.raises(ValueError, match=r"entropy must be \(2,\) of torch.float32, not \(3,\)"):
        token_weights(*arguments, entropy=torch.zeros(3))
