# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""``token_weights`` against an independent float64 reference; unusual batches and wrong arguments."""

from dataclasses import replace

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.algorithm.weight_inputs import TWO_GROUPS, Inputs, any_inputs, assert_matches, has_residuals, make_inputs
from verl_resrl import ResRLConfig, token_weights
from verl_resrl.algorithm.krylov import num_vectors


@given(any_inputs(), st.sampled_from([1, 2, 7, 15]), st.sampled_from([(0.2, 0.8), (0.0, 1.0), (0.5, 0.6)]))
@settings(max_examples=100)
def test_matches_the_reference(inputs: Inputs, rank: int, quantiles: tuple[float, float]) -> None:
    assume(rank < inputs.hidden.shape[1])
    options = {"rank": rank, "q_low": quantiles[0], "q_high": quantiles[1], "xi": 0.25}
    expected = inputs.expected(**options)
    assume(has_residuals(inputs, expected, options["q_high"]))
    assert_matches(inputs.compute(**options), inputs, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_matches_the_reference_where_the_iteration_truncates(device: str, dtype: torch.dtype) -> None:
    """More positive tokens and dimensions than vectors in the iteration: with fewer, nothing is iterated."""
    rank, d = 16, 260
    lengths = [[(300, True), (60, False), (40, False)], [(130, True), (120, True), (50, False)]]
    inputs = make_inputs(lengths, d, seed=5)
    inputs = replace(inputs, hidden=inputs.hidden.to(dtype))
    assert num_vectors(rank) < min(250, d)
    expected = replace(inputs, hidden=inputs.hidden.float()).expected(rank=rank)
    out = token_weights(*(tensor.to(device) for tensor in inputs.tensors), config=ResRLConfig(rank=rank))
    assert out.weights.dtype == out.residual.dtype == out.alignment.dtype == torch.float32
    assert out.weights.device.type == device
    assert_matches(out, inputs, expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_gives_what_its_values_give_in_float32(dtype: torch.dtype) -> None:
    inputs = make_inputs(TWO_GROUPS, 24, seed=1)
    half = replace(inputs, hidden=inputs.hidden.to(dtype))
    out, expected = half.compute(rank=5), replace(half, hidden=half.hidden.float()).compute(rank=5)
    assert torch.equal(out.weights, expected.weights)
    assert torch.equal(out.residual, expected.residual)


@pytest.mark.parametrize(
    "sequences",
    [
        [(9, True)],  # a group of size 1
        [(9, False)],
        [(9, True), (8, True)],  # nothing to weight
        [(9, False), (8, False)],  # nothing to compare with
        [(3, True), (8, False)],  # too few positive tokens
        [(0, True), (8, False)],
        [(9, True), (0, False)],
    ],
)
def test_group_without_enough_of_both_kinds_is_inactive(sequences: list[tuple[int, bool]]) -> None:
    inputs = make_inputs([sequences, TWO_GROUPS[0]], 8, seed=0)
    out = inputs.compute(rank=3)
    assert out.active.tolist() == [False, True]
    mine = (inputs.group_ids == 2)[inputs.sequence_ids]
    assert bool((out.weights[mine] == 1).all())
    assert bool(out.residual[mine].isnan().all())
    assert bool((out.weights[~mine] < 1).any())


@pytest.mark.parametrize(("limit", "active"), [(7, True), (8, False)])
def test_min_positive_tokens_is_inclusive(limit: int, active: bool) -> None:
    inputs = make_inputs([[(4, True), (3, True), (5, False)]], 8, seed=0)
    assert inputs.compute(min_positive_tokens=limit).active.tolist() == [active]


def test_batch_without_a_positive_sequence() -> None:
    inputs = make_inputs([[(5, False), (6, False)], [(7, False)]], 8, seed=0)
    out = inputs.compute()
    assert out.weights.tolist() == [1.0] * 18
    assert out.active.tolist() == [False, False]
    assert bool(out.residual.isnan().all())


@pytest.mark.parametrize("num_sequences", [0, 2])
def test_empty_batch(num_sequences: int) -> None:
    integers = torch.zeros(0, dtype=torch.int64)
    sequences = torch.zeros(num_sequences, dtype=torch.int64)
    out = token_weights(torch.zeros(0, 8), integers, sequences, torch.ones(num_sequences, dtype=torch.bool))
    assert out.weights.shape == out.residual.shape == out.alignment.shape == (0,)
    assert out.active.tolist() == [False] * min(num_sequences, 1)


def test_equal_negative_tokens_get_the_middle_weight() -> None:
    inputs = make_inputs([[(9, True), (7, False)]], 8, seed=0)
    negative = ~inputs.is_positive[inputs.sequence_ids]
    hidden = inputs.hidden.clone()
    hidden[negative] = hidden[negative][:1]
    out = replace(inputs, hidden=hidden).compute(rank=2, xi=0.2)
    torch.testing.assert_close(out.weights[negative], torch.full((7,), 0.6))


@pytest.mark.parametrize("rank", [5, 64])
def test_rank_beyond_the_hidden_size_leaves_no_residual(rank: int) -> None:
    inputs = make_inputs([[(12, True), (9, False), (4, False)]], 5, seed=0)
    out = inputs.compute(rank=rank, xi=0.1)
    negative = ~inputs.is_positive[inputs.sequence_ids]
    assert bool((out.residual == 0).all())
    torch.testing.assert_close(out.weights[negative], torch.full((13,), 0.55))
    assert torch.equal(out.weights[~negative], torch.ones(12))


@pytest.mark.parametrize(("positive_tokens", "rank"), [(5, 64), (12, 4)])
def test_basis_of_all_but_one_dimension_leaves_no_residual(positive_tokens: int, rank: int) -> None:
    """Layer-normalised tokens have d - 1 dimensions: what such a basis leaves of them is rounding noise."""
    inputs = make_inputs([[(positive_tokens, True), (9, False), (4, False)]], 5, seed=0)
    negative = ~inputs.is_positive[inputs.sequence_ids]
    weights = inputs.compute(rank=rank, xi=0.1).weights[negative]
    torch.testing.assert_close(weights, torch.full((13,), 0.55))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("positive", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_hidden_states_must_be_finite(value: float, positive: bool, dtype: torch.dtype) -> None:
    inputs = make_inputs(TWO_GROUPS, 8, seed=0)
    token = int((inputs.is_positive[inputs.sequence_ids] == positive).nonzero()[3])
    hidden = inputs.hidden.to(dtype)
    hidden[token, 5] = value
    with pytest.raises(
        ValueError, match=r"^ResRL: hidden states of 1 response tokens are NaN or infinite; check the model$"
    ) as error:
        replace(inputs, hidden=hidden).compute(rank=3)
    assert "\n" not in str(error.value)


def test_non_finite_positive_tokens_outside_the_sample_are_found() -> None:
    inputs = make_inputs([[(40, True), (9, False)]], 8, seed=0)
    positive = inputs.is_positive[inputs.sequence_ids].nonzero().squeeze(1)
    for token in positive.tolist():
        hidden = inputs.hidden.clone()
        hidden[token] = torch.nan
        with pytest.raises(ValueError, match="NaN or infinite"):
            replace(inputs, hidden=hidden).compute(rank=3, max_positive_tokens=4)


GOOD = make_inputs([[(5, True), (6, False)]], 8, seed=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden": GOOD.hidden[0]}, r"hidden must be \(num_tokens, hidden_size\) .* not \(8,\) of torch.float32"),
        (
            {"hidden": GOOD.hidden.double()},
            r"hidden must be .* or torch.float16, not \(11, 8\) of torch.float64",
        ),
        (
            {"sequence_ids": GOOD.sequence_ids[:-1]},
            r"sequence_ids must be \(11,\) of torch.int64, not \(10,\) of torch",
        ),
        ({"sequence_ids": GOOD.sequence_ids.int()}, r"sequence_ids must be .*, not \(11,\) of torch.int32"),
        ({"sequence_ids": GOOD.sequence_ids + 1}, r"sequence_ids must be in \[0, 2\), .* not in \[1, 2\]"),
        ({"sequence_ids": GOOD.sequence_ids - 1}, r"sequence_ids must be in \[0, 2\), .* not in \[-1, 0\]"),
        ({"group_ids": GOOD.group_ids[:1]}, r"is_positive must be \(1,\) of torch.bool, not \(2,\)"),
        ({"group_ids": GOOD.group_ids[None]}, r"group_ids must be \(num_sequences,\) of torch.int64, not \(1, 2\) of"),
        (
            {"group_ids": GOOD.group_ids.float()},
            r"group_ids must be \(num_sequences,\) of torch.int64, not \(2,\) of torch.float32",
        ),
        (
            {"is_positive": GOOD.is_positive.float()},
            r"is_positive must be \(2,\) of torch.bool, not \(2,\) of torch.float32",
        ),
        ({"token_keys": torch.arange(10)}, r"token_keys must be \(11,\) of torch.int64, not \(10,\) of torch.int64"),
        ({"token_keys": torch.arange(11).int()}, r"token_keys must be .*, not \(11,\) of torch.int32"),
        ({"config": {"rank": 4}}, r"config must be a ResRLConfig, not dict"),
        ({"backend": "tritn"}, r"backend='tritn' must be one of auto, torch"),
    ],
)
def test_wrong_argument_is_named(change: dict[str, object], message: str) -> None:
    names = ("hidden", "sequence_ids", "group_ids", "is_positive")
    arguments = dict(zip(names, GOOD.tensors, strict=True)) | change
    with pytest.raises(ValueError, match=f"^ResRL: {message}") as error:
        token_weights(**arguments)
    assert "\n" not in str(error.value)
