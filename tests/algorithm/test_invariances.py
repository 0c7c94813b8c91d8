# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""What does not change a weight: order, neighbours, scale, sequences without tokens, the size of blocks."""

from dataclasses import replace

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.algorithm.weight_inputs import (
    SEED,
    TWO_GROUPS,
    Inputs,
    any_inputs,
    assert_same,
    has_residuals,
    make_inputs,
    permuted,
    permuted_result,
)
from verl_resrl import TokenWeights
from verl_resrl.algorithm import residual


@given(any_inputs(), SEED)
def test_order_of_tokens_and_sequences_does_not_matter(inputs: Inputs, seed: int) -> None:
    assume(has_residuals(inputs, inputs.expected(rank=3), 0.8))
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randperm(len(inputs.hidden), generator=generator)
    sequences = torch.randperm(len(inputs.group_ids), generator=generator)
    assert_same(permuted(inputs, tokens, sequences).compute(rank=3), permuted_result(inputs.compute(rank=3), tokens))


@given(any_inputs(37), any_inputs(37))
def test_an_unrelated_group_does_not_change_a_group(inputs: Inputs, others: Inputs) -> None:
    assume(has_residuals(inputs, inputs.expected(rank=3), 0.8))
    both = Inputs(
        torch.cat([others.hidden, inputs.hidden]),
        torch.cat([others.sequence_ids, inputs.sequence_ids + len(others.group_ids)]),
        torch.cat([others.group_ids, inputs.group_ids + 1]),  # 2, 5, 8, ... and 3, 6, 9, ...: never the same group
        torch.cat([others.is_positive, inputs.is_positive]),
    )
    out, alone = both.compute(rank=3), inputs.compute(rank=3)
    n = len(others.hidden)
    ours = torch.isin(torch.unique(both.group_ids), inputs.group_ids + 1)
    groups = (out.active[ours], out.non_finite[ours])
    assert_same(TokenWeights(out.weights[n:], out.residual[n:], out.alignment[n:], *groups), alone)


@given(any_inputs(), st.sampled_from([0.125, 3.0, 1024.0]))
def test_scale_of_hidden_states_does_not_matter(inputs: Inputs, factor: float) -> None:
    inputs = replace(inputs, hidden=1000 * inputs.hidden)  # LayerNorm's eps is nothing beside these variances
    assume(has_residuals(inputs, inputs.expected(rank=3), 0.8))
    scaled = replace(inputs, hidden=factor * inputs.hidden)
    out, expected = scaled.compute(rank=3), inputs.compute(rank=3)
    torch.testing.assert_close(out.weights, expected.weights, rtol=0, atol=1e-3)
    assert torch.equal(out.active, expected.active)


@given(any_inputs(), st.booleans(), st.integers(min_value=1, max_value=4))
def test_sequences_without_tokens_do_not_matter(inputs: Inputs, positive: bool, count: int) -> None:
    old_group, new_group = inputs.group_ids[:1].expand(count), torch.full((count,), 1000)
    padded = replace(
        inputs,
        group_ids=torch.cat([inputs.group_ids, old_group, new_group]),
        is_positive=torch.cat([inputs.is_positive, torch.full((2 * count,), positive)]),
    )
    out, expected = padded.compute(rank=3), inputs.compute(rank=3)
    assert torch.equal(out.weights, expected.weights)
    assert out.active.tolist() == [*expected.active.tolist(), False]


@given(any_inputs())
def test_weights_are_in_range_and_one_where_nothing_is_known(inputs: Inputs) -> None:
    out = inputs.compute(rank=4, xi=0.3)
    number = torch.unique(inputs.group_ids, return_inverse=True)[1]
    active = out.active[number[inputs.sequence_ids]]
    positive = inputs.is_positive[inputs.sequence_ids]
    assert bool(((out.weights >= 0.3) & (out.weights <= 1)).all())
    assert bool((out.weights[positive | ~active] == 1).all())
    assert torch.equal(out.residual.isnan(), ~active)
    assert torch.equal(out.alignment.isnan(), ~active)
    assert bool((out.residual[active] >= 0).all())
    assert bool((out.alignment[active] >= 0).all())


def test_does_not_touch_its_arguments() -> None:
    inputs = make_inputs(TWO_GROUPS, 8, seed=3)
    before = [tensor.clone() for tensor in inputs.tensors]
    inputs.compute(rank=3)
    assert all(torch.equal(tensor, copy) for tensor, copy in zip(inputs.tensors, before, strict=True))


def test_work_in_blocks_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = make_inputs(3 * TWO_GROUPS, 16, seed=4)
    expected = inputs.compute(rank=4)
    monkeypatch.setattr(residual, "ROWS_PER_BLOCK", {"cpu": 3})
    for max_workspace_gb in (1e-9, 3e-5):  # a group at a time, a few groups at a time
        assert_same(inputs.compute(rank=4, max_workspace_gb=max_workspace_gb), expected)
