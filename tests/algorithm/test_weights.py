# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""``token_weights`` against an independent float64 reference, and the properties that the design promises."""

import itertools
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from benchmarks import exact as reference
from verl_resrl import ResRLConfig, TokenWeights, token_weights
from verl_resrl.algorithm import residual
from verl_resrl.algorithm.quantiles import grouped_quantiles
from verl_resrl.algorithm.sampling import hash64
from verl_resrl.algorithm.subspace import OVERSAMPLING, _top_right_singular_vectors, fit_subspaces, layer_norm
from verl_resrl.algorithm.weighting import residual_to_weight

# float32 against float64: what separates two roundings of one result
SAME = {"rtol": 0.0, "atol": 2e-4}


@dataclass(frozen=True)
class Inputs:
    """Arguments of ``token_weights``."""

    hidden: Tensor
    sequence_ids: Tensor
    group_ids: Tensor
    is_positive: Tensor

    def compute(self, **settings: int | float) -> TokenWeights:
        seed = int(settings.pop("seed", 0))
        return token_weights(*self.tensors, config=ResRLConfig(**settings), seed=seed)

    @property
    def tensors(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.hidden, self.sequence_ids, self.group_ids, self.is_positive

    def expected(self, **settings: int | float) -> reference.Reference:
        return reference.token_weights(*(tensor.numpy() for tensor in self.tensors), **settings)


def make_inputs(
    lengths: list[list[tuple[int, bool]]],
    hidden_size: int,
    seed: int,
    span: int | None = None,
    outlier: float = 0.0,
    equal: float = 0.0,
) -> Inputs:
    """Make random inputs.

    Args:
        lengths: of each group, (number of tokens, positive?) of each sequence.
        hidden_size: d.
        seed: of the values and of the order in which the groups' sequences are mixed.
        span: tokens of a group lie in a space of so many dimensions.
        outlier: size of two massive activations, the same dimensions in every token.
        equal: share of the tokens that are copies of their neighbour.
    """
    generator = torch.Generator().manual_seed(seed)
    sequences = [(group, *sequence) for group, sequences in enumerate(lengths) for sequence in sequences]
    sequences = [sequences[i] for i in torch.randperm(len(sequences), generator=generator)]
    length = torch.tensor([length for _, length, _ in sequences], dtype=torch.int64)
    sequence_ids = torch.repeat_interleave(torch.arange(len(sequences)), length)
    group_ids = torch.tensor([3 * group + 2 for group, _, _ in sequences], dtype=torch.int64)
    # a decaying spectrum with a mean, as hidden states have
    scale = torch.linspace(0, 2, hidden_size).neg().exp()
    hidden = torch.randn(len(sequence_ids), hidden_size, generator=generator) * scale
    if span is not None:
        directions = torch.randn(len(lengths), span, hidden_size, generator=generator)
        group = (group_ids[sequence_ids] - 2) // 3
        mixture = torch.randn(len(sequence_ids), span, generator=generator)
        hidden = torch.einsum("nk,nkd->nd", mixture, directions[group])
    hidden = hidden + torch.randn(hidden_size, generator=generator)
    hidden[:, 1] += outlier
    hidden[:, 2] -= outlier / 2
    copied = torch.rand(len(hidden), generator=generator) < equal
    copied[:1] = False
    source = torch.where(copied, -1, torch.arange(len(hidden))).cummax(0).values
    hidden = hidden[source]
    is_positive = torch.tensor([positive for _, _, positive in sequences], dtype=torch.bool)
    return Inputs(hidden, sequence_ids, group_ids, is_positive)


SEQUENCE = st.tuples(st.integers(min_value=0, max_value=12), st.booleans())
GROUPS = st.lists(st.lists(SEQUENCE, min_size=1, max_size=8), min_size=1, max_size=5)
SEED = st.integers(min_value=0, max_value=2**31)


KINDS = {
    "plain": {},
    "repeated tokens": {"equal": 0.5},
    "low rank": {"span": 4},
    "massive activations": {"outlier": 1000.0},
}


@st.composite
def any_inputs(draw: st.DrawFn, hidden_size: int | None = None) -> Inputs:
    kind = draw(st.sampled_from(sorted(KINDS)))
    # in a few dimensions, float32 has no digits left beside massive activations
    hidden_size = hidden_size or draw(st.sampled_from([37, 64] if kind == "massive activations" else [5, 16, 37]))
    return make_inputs(draw(GROUPS), hidden_size, draw(SEED), **KINDS[kind])


TWO_GROUPS = [[(7, True), (9, False), (4, True), (6, False)], [(5, True), (3, False), (8, False)]]


def assert_same(out: TokenWeights, expected: TokenWeights) -> None:
    """Equal up to rounding."""
    torch.testing.assert_close(out.weights, expected.weights, **SAME)
    torch.testing.assert_close(out.alignment, expected.alignment, rtol=1e-4, atol=1e-5, equal_nan=True)
    torch.testing.assert_close(out.residual, expected.residual, rtol=1e-3, atol=1e-7, equal_nan=True)
    assert torch.equal(out.active, expected.active)


def has_residuals(inputs: Inputs, expected: reference.Reference, q_high: float) -> bool:
    """Tell whether, in every active group, enough negative tokens are outside the positive subspace."""
    negative = ~inputs.is_positive[inputs.sequence_ids].numpy()
    group = inputs.group_ids[inputs.sequence_ids].numpy()
    groups = np.unique(inputs.group_ids.numpy())[expected.active]
    return all(np.quantile(expected.residual[negative & (group == g)], q_high) > 0 for g in groups)


def assert_matches(out: TokenWeights, inputs: Inputs, expected: reference.Reference) -> None:
    """Equal to the reference up to rounding."""
    weights, e, a = (values.cpu().double().numpy() for values in (out.weights, out.residual, out.alignment))
    np.testing.assert_array_equal(out.active.cpu().numpy(), expected.active)
    np.testing.assert_array_equal(np.isnan(e), np.isnan(expected.residual))
    np.testing.assert_array_equal(np.isnan(a), np.isnan(expected.alignment))
    d = inputs.hidden.shape[1]
    length = expected.alignment + d * expected.residual  # ||x||^2
    has_basis = ~np.isnan(length)
    assert (np.abs(a - expected.alignment)[has_basis] <= 1e-4 * length[has_basis]).all()
    assert (d * np.abs(e - expected.residual)[has_basis] <= 1e-4 * length[has_basis]).all()
    np.testing.assert_allclose(weights, expected.weights, rtol=0, atol=1e-3)
    assert (weights[inputs.is_positive[inputs.sequence_ids].numpy()] == 1).all()


# -- the values ----------------------------------------------------------------------------------------------------


@given(any_inputs(), st.sampled_from([1, 2, 7, 15]), st.sampled_from([(0.2, 0.8), (0.0, 1.0), (0.5, 0.6)]))
@settings(max_examples=100)
def test_matches_the_reference(inputs: Inputs, rank: int, quantiles: tuple[float, float]) -> None:
    assume(rank < inputs.hidden.shape[1])
    options = {"rank": rank, "q_low": quantiles[0], "q_high": quantiles[1], "xi": 0.25}
    expected = inputs.expected(**options)
    assume(has_residuals(inputs, expected, options["q_high"]))
    assert_matches(inputs.compute(**options), inputs, expected)


def permuted(inputs: Inputs, tokens: Tensor, sequences: Tensor) -> Inputs:
    """Reorder the tokens, and number the sequences anew."""
    new_number = torch.empty_like(sequences)
    new_number[sequences] = torch.arange(len(sequences))
    return Inputs(
        inputs.hidden[tokens],
        new_number[inputs.sequence_ids[tokens]],
        inputs.group_ids[sequences],
        inputs.is_positive[sequences],
    )


def permuted_result(out: TokenWeights, tokens: Tensor) -> TokenWeights:
    return TokenWeights(out.weights[tokens], out.residual[tokens], out.alignment[tokens], out.active, out.non_finite)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_matches_the_reference_where_the_iteration_truncates(device: str, dtype: torch.dtype) -> None:
    """More positive tokens and dimensions than columns in the iteration, which is exact otherwise."""
    rank, d = 16, 200
    lengths = [[(150, True), (60, False), (40, False)], [(90, True), (90, True), (50, False)]]
    inputs = make_inputs(lengths, d, seed=5)
    inputs = replace(inputs, hidden=inputs.hidden.to(dtype))
    assert rank + OVERSAMPLING < min(150, d)
    expected = replace(inputs, hidden=inputs.hidden.float()).expected(rank=rank)
    out = token_weights(*(tensor.to(device) for tensor in inputs.tensors), config=ResRLConfig(rank=rank))
    assert out.weights.dtype == out.residual.dtype == out.alignment.dtype == torch.float32
    assert out.weights.device.type == device
    assert_matches(out, inputs, expected)


def test_bfloat16_gives_what_its_values_give_in_float32() -> None:
    inputs = make_inputs(TWO_GROUPS, 24, seed=1)
    half = replace(inputs, hidden=inputs.hidden.bfloat16())
    out, expected = half.compute(rank=5), replace(half, hidden=half.hidden.float()).compute(rank=5)
    assert torch.equal(out.weights, expected.weights)
    assert torch.equal(out.residual, expected.residual)


# -- invariances ---------------------------------------------------------------------------------------------------


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


# -- defined results for unusual batches ---------------------------------------------------------------------------


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


# -- errors --------------------------------------------------------------------------------------------------------


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
        ({"hidden": GOOD.hidden.double()}, r"hidden must be .* float32 or bfloat16, not \(11, 8\) of torch.float64"),
        ({"hidden": GOOD.hidden.half()}, r"hidden must be .* of torch.float16"),
        (
            {"sequence_ids": GOOD.sequence_ids[:-1]},
            r"sequence_ids must be \(11,\) of torch.int64, not \(10,\) of torch",
        ),
        ({"sequence_ids": GOOD.sequence_ids.int()}, r"sequence_ids must be .*, not \(11,\) of torch.int32"),
        ({"sequence_ids": GOOD.sequence_ids + 1}, r"sequence_ids must be in \[0, 2\), .* not in \[1, 2\]"),
        ({"sequence_ids": GOOD.sequence_ids - 1}, r"sequence_ids must be in \[0, 2\), .* not in \[-1, 0\]"),
        ({"group_ids": GOOD.group_ids[:1]}, r"is_positive must be \(1,\) of torch.bool, not \(2,\)"),
        ({"group_ids": GOOD.group_ids[None]}, r"group_ids must be \(num_sequences,\) of int64, not \(1, 2\) of"),
        (
            {"group_ids": GOOD.group_ids.float()},
            r"group_ids must be \(2,\) of torch.int64, not \(2,\) of torch.float32",
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


# -- sampling ------------------------------------------------------------------------------------------------------


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


# -- quantiles and weights -----------------------------------------------------------------------------------------

RESIDUALS = st.floats(min_value=0, max_value=2.0**60, width=32)


def limits(residual: torch.Tensor, group: torch.Tensor, num_groups: int, config: ResRLConfig) -> torch.Tensor:
    return grouped_quantiles(residual, group, num_groups, (config.q_low, config.q_high))


@given(
    st.lists(st.tuples(st.integers(min_value=0, max_value=4), RESIDUALS), max_size=40),
    st.lists(st.floats(min_value=0, max_value=1), min_size=1, max_size=3),
)
def test_grouped_quantiles_are_numpys(elements: list[tuple[int, float]], quantiles: list[float]) -> None:
    group = torch.tensor([g for g, _ in elements], dtype=torch.int64)
    values = torch.tensor([v for _, v in elements], dtype=torch.float32)
    result = grouped_quantiles(values, group, 6, tuple(quantiles))
    assert result.shape == (6, len(quantiles))
    for g in range(6):
        of_group = values[group == g].double().numpy()
        expected = np.quantile(of_group, quantiles) if len(of_group) else np.full(len(quantiles), np.nan)
        np.testing.assert_allclose(result[g].numpy(), expected, rtol=1e-12)


def test_residual_to_weight_by_hand() -> None:
    # quantiles 0.25 and 0.75 of 0..4 are 1 and 3; of 10, 30 they are 15 and 25
    e = torch.tensor([4.0, 30.0, 0.0, 2.0, 1.0, 10.0, 3.0])
    group = torch.tensor([0, 1, 0, 0, 0, 1, 0])
    config = ResRLConfig(q_low=0.25, q_high=0.75, xi=0.2)
    expected = torch.tensor([1.0, 1.0, 0.2, 0.6, 0.2, 0.2, 1.0])
    torch.testing.assert_close(residual_to_weight(e, group, limits(e, group, 2, config), config), expected)


@pytest.mark.parametrize("scale", [1.0, 1e-9, 1e9])
def test_degenerate_spread_is_relative(scale: float) -> None:
    config = ResRLConfig(q_low=0.0, q_high=1.0, xi=0.1)
    group = torch.zeros(3, dtype=torch.int64)
    narrow = scale * torch.tensor([1 - 0.9e-4, 1 - 0.5e-4, 1.0])
    wide = scale * torch.tensor([1 - 1.2e-4, 1 - 0.6e-4, 1.0])
    torch.testing.assert_close(
        residual_to_weight(narrow, group, limits(narrow, group, 1, config), config), torch.full((3,), 0.55)
    )
    expected = torch.tensor([0.1, 0.55, 1.0])
    torch.testing.assert_close(
        residual_to_weight(wide, group, limits(wide, group, 1, config), config), expected, rtol=0, atol=1e-3
    )
    assert residual_to_weight(torch.zeros(3), group, torch.zeros(1, 2).double(), config).tolist() == pytest.approx(
        [0.55] * 3
    )


# -- subspace ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1])
def test_basis_is_orthonormal_and_spans_what_the_exact_svd_spans(seed: int) -> None:
    """Ten strong directions of 300 dimensions: the span is unique, and the iteration cannot hold all columns."""
    rank, d = 10, 300
    generator = torch.Generator().manual_seed(seed)
    counts = torch.tensor([200, 120])
    strong = torch.randn(320, rank, generator=generator) @ torch.randn(rank, d, generator=generator)
    hidden = strong + torch.randn(320, d, generator=generator)
    rows = torch.randperm(320, generator=generator)
    result = fit_subspaces(hidden, rows, counts, rank, seed)
    for group, tokens in enumerate(rows.split(counts.tolist())):
        x = reference.layer_norm(hidden[tokens].double().numpy())
        mu = x.mean(axis=0)
        np.testing.assert_allclose(result.centroid[group].numpy(), mu, rtol=0, atol=1e-6)
        exact = np.linalg.svd(x - mu, full_matrices=False)[2][:rank].T
        basis = result.basis[group].double().numpy()
        np.testing.assert_allclose(basis.T @ basis, np.eye(rank), rtol=0, atol=1e-6)
        np.testing.assert_allclose(basis @ basis.T, exact @ exact.T, rtol=0, atol=1e-5)


def test_bfloat16_products_stay_within_the_contract() -> None:
    """What tensor cores do to the iteration: operands rounded to bfloat16, sums in float32."""
    count, rank, d = 400, 16, 256
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(2 * count, d, generator=generator) * torch.arange(1, d + 1) ** -0.7
    states = layer_norm(states @ torch.linalg.qr(torch.randn(d, d, generator=generator)).Q)
    states -= states[:count].mean(0)
    positive, negative = states[:count], states[count:].double()
    exact = torch.linalg.svd(positive.double(), full_matrices=False)[2][:rank].T
    start = torch.randn(d, rank + OVERSAMPLING, generator=generator)
    basis = _top_right_singular_vectors(positive[None].bfloat16(), torch.tensor([count]), rank, start)[0].double()

    def weights(v: torch.Tensor) -> torch.Tensor:
        outside = (negative - negative @ v @ v.T).square().sum(1).float()
        group = torch.zeros(count, dtype=torch.int64)
        return residual_to_weight(outside, group, limits(outside, group, 1, ResRLConfig()), ResRLConfig())

    error = (weights(basis) - weights(exact)).abs()
    assert 0 < error.mean() < 1e-3
    assert error.max() < 1e-2


@given(st.integers(min_value=2, max_value=9), st.sampled_from([1, 4, 20]), SEED)
def test_basis_has_at_most_one_direction_less_than_tokens(count: int, rank: int, seed: int) -> None:
    d = 12
    hidden = torch.randn(count, d, generator=torch.Generator().manual_seed(seed))
    basis = fit_subspaces(hidden, torch.arange(count), torch.tensor([count]), rank, 0).basis[0].double()
    k = min(rank, count - 1)
    assert basis.shape == (d, min(rank, d))
    torch.testing.assert_close(
        basis.T @ basis, torch.diag((torch.arange(min(rank, d)) < k).double()), rtol=0, atol=1e-6
    )
