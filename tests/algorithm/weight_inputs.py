# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Random arguments of ``token_weights``, and what their results are held against."""

from dataclasses import dataclass

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

from benchmarks import exact as reference
from verl_resrl import ResRLConfig, TokenWeights, token_weights
from verl_resrl.algorithm.quantiles import grouped_quantiles

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


def limits(residual: Tensor, group: Tensor, num_groups: int, config: ResRLConfig) -> Tensor:
    """Quantiles of each group's residuals, as ``residual_to_weight`` takes them."""
    return grouped_quantiles(residual, group, num_groups, (config.q_low, config.q_high))
