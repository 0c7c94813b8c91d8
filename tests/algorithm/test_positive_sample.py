# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The positive tokens that span a subspace are drawn by a seeded hash of what a token is."""

import itertools

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.algorithm.weight_inputs import (
    SEED,
    TWO_GROUPS,
    assert_same,
    make_inputs,
    permuted,
    permuted_result,
)
from verl_resrl import ResRLConfig, token_weights
from verl_resrl.algorithm.sampling import hash64


def test_same_seed_gives_the_same_bits() -> None:
    inputs = make_inputs(TWO_GROUPS, 16, seed=0)
    first, second = (inputs.compute(rank=3, max_positive_tokens=6, seed=7) for _ in range(2))
    assert torch.equal(first.weights, second.weights)
    assert torch.equal(first.residual, second.residual)
    assert torch.equal(first.alignment, second.alignment)


def test_seed_matters_only_when_there_are_more_positive_tokens_than_wanted() -> None:
    inputs = make_inputs([[(11, True), (9, False)]], 16, seed=0)
    assert_same(inputs.compute(rank=3, seed=1), inputs.compute(rank=3, seed=2))
    assert_same(inputs.compute(rank=3, max_positive_tokens=11, seed=1), inputs.compute(rank=3, seed=2))
    one, two = (inputs.compute(rank=3, max_positive_tokens=6, seed=seed).residual for seed in (1, 2))
    assert not torch.allclose(one, two, rtol=1e-2)


def test_samples_are_subsets_and_every_subset_comes_up() -> None:
    """Each result is that of 4 of the 6 positive tokens, and 4 of 6 are drawn without preference."""
    inputs = make_inputs([[(3, True), (7, False), (3, True)]], 16, seed=0)
    positive = inputs.is_positive[inputs.sequence_ids].nonzero().squeeze(1).numpy()
    subsets = list(itertools.combinations(positive, 4))
    truths = []
    for subset in subsets:
        basis = np.zeros(13, dtype=bool)
        basis[list(subset)] = True
        truths.append(inputs.expected(rank=2, basis_tokens=basis).residual)
    frequency = np.zeros(len(subsets))
    draws = 300
    for seed in range(draws):
        e = inputs.compute(rank=2, max_positive_tokens=4, seed=seed).residual.double().numpy()
        distance = [np.abs(e - truth).max() for truth in truths]
        assert min(distance) < 1e-5 < sorted(distance)[1]
        frequency[np.argmin(distance)] += 1
    mean = draws / len(subsets)
    assert ((frequency - mean) ** 2 / mean).sum() < 44  # chi-square, 14 degrees of freedom: p = 6e-5


@given(SEED, st.sampled_from([4, 6]))
def test_sample_follows_the_token_keys_and_not_the_order(seed: int, limit: int) -> None:
    inputs = make_inputs([[(9, True), (8, False), (5, True)], [(8, True), (7, False)]], 16, seed=seed)
    keys = hash64(torch.arange(len(inputs.hidden)))
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randperm(len(keys), generator=generator)
    sequences = torch.randperm(len(inputs.group_ids), generator=generator)
    config = ResRLConfig(rank=2, max_positive_tokens=limit)
    expected = token_weights(*inputs.tensors, config=config, token_keys=keys)
    out = token_weights(*permuted(inputs, tokens, sequences).tensors, config=config, token_keys=keys[tokens])
    assert_same(out, permuted_result(expected, tokens))


def test_without_keys_a_token_is_known_by_its_place_in_its_sequence() -> None:
    """Interleaving the tokens of sequences does not change the sample."""
    inputs = make_inputs([[(9, True), (8, False), (5, True)]], 16, seed=0)
    occurrence = torch.cat([torch.arange(n) for n in torch.bincount(inputs.sequence_ids).tolist()])
    tokens = torch.argsort(occurrence, stable=True)
    config = {"rank": 2, "max_positive_tokens": 4}
    interleaved = permuted(inputs, tokens, torch.arange(3))
    assert not torch.equal(interleaved.sequence_ids, inputs.sequence_ids)
    assert_same(interleaved.compute(**config), permuted_result(inputs.compute(**config), tokens))
