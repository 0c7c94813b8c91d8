# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The three formulas behind the LLD proxy, against autograd and hidden states of a small model in float64."""

from dataclasses import dataclass

import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.integration.engines import COMMON
from verl_resrl.algorithm.exchange import Exchange
from verl_resrl.algorithm.lld import alignment_bound, coverage_bound, head_gradient_product, lld_proxy, rank_correlation

EXACT = {"rtol": 1e-12, "atol": 1e-12}


@dataclass
class Model:
    """A small language model after one forward pass over a sequence; everything in float64."""

    ids: Tensor
    head: Tensor
    inputs: Tensor
    logits: Tensor
    hidden: Tensor


@pytest.fixture(scope="module")
def model() -> Model:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(**COMMON, tie_word_embeddings=False)
    language_model = transformers.AutoModelForCausalLM.from_config(config).double()
    ids = torch.randint(2, COMMON["vocab_size"], (1, 60))
    seen = []
    language_model.lm_head.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    out = language_model(ids, output_hidden_states=True)
    return Model(ids[0], language_model.lm_head.weight, seen[0][0], out.logits[0], out.hidden_states[-2][0].detach())


@pytest.mark.parametrize(("t1", "t2"), [(3, 40), (3, 4), (17, 17), (58, 0)])
def test_head_gradients_factor_exactly(model: Model, t1: int, t2: int) -> None:
    gradients, deltas = [], []
    for t, advantage in ((t1, -0.7), (t2, 1.3)):
        loss = -advantage * torch.log_softmax(model.logits[t], -1)[model.ids[t + 1]]
        of_head, of_logits = torch.autograd.grad(loss, (model.head, model.logits), retain_graph=True)
        gradients.append(of_head)
        deltas.append(of_logits[t])
    product = head_gradient_product(deltas[0], model.inputs[t1], deltas[1], model.inputs[t2])
    truth = (gradients[0] * gradients[1]).sum()
    assert truth.abs() > 1e-6
    torch.testing.assert_close(product, truth, **EXACT)


@dataclass
class Tokens:
    """Centred tokens and what the bounds are made of, by the definitions."""

    x: Tensor
    basis: Tensor

    @property
    def norm(self) -> Tensor:
        return self.x.norm(dim=-1)

    @property
    def residual(self) -> Tensor:
        outside = self.x - self.x @ self.basis @ self.basis.T
        return outside.square().sum(-1) / self.x.shape[1]


@pytest.fixture(scope="module")
def tokens(model: Model) -> tuple[Tokens, Tokens]:
    """Negative and positive tokens of the model; the subspace has 6 of the 20 directions of the positive ones."""
    normalised = torch.nn.functional.layer_norm(model.hidden, model.hidden.shape[-1:], eps=1e-5)
    positive, negative = normalised[:20], normalised[20:]
    centroid = positive.mean(0)
    basis = torch.linalg.svd(positive - centroid).Vh[:6].T
    return Tokens(negative - centroid, basis), Tokens(positive - centroid, basis)


def test_bounds_hold_for_the_tokens_of_a_model(tokens: tuple[Tokens, Tokens]) -> None:
    negative, positive = tokens
    d = negative.x.shape[1]
    inner = negative.x @ positive.x.T
    bound = coverage_bound(negative.norm[:, None], negative.residual[:, None], positive.norm, positive.residual, d)
    assert (inner.abs() <= bound).all()
    covered = Tokens(positive.x @ positive.basis @ positive.basis.T, positive.basis)
    inner = negative.x @ covered.x.T
    bound = alignment_bound(negative.norm[:, None], negative.residual[:, None], covered.norm, d)
    assert (inner.square() <= bound * (1 + 1e-12)).all()
    assert bound.max() < 0.9 * (negative.norm[:, None] * covered.norm).square().max()  # says more than Cauchy-Schwarz


def random_tokens(seed: int, d: int, k: int) -> tuple[Tokens, Tokens]:
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(d, k, generator=generator, dtype=torch.float64)).Q
    x = torch.randn(2, 2000, d, generator=generator, dtype=torch.float64)
    inside = torch.rand(2, 2000, 1, generator=generator, dtype=torch.float64)  # how much of a token the subspace has
    x = inside * (x @ basis @ basis.T) + (1 - inside) * x
    return Tokens(x[0], basis), Tokens(x[1], basis)


@given(st.integers(0, 10**6), st.integers(1, 40), st.data())
def test_bounds_hold_for_random_tokens(seed: int, d: int, data: st.DataObject) -> None:
    negative, positive = random_tokens(seed, d, data.draw(st.integers(1, d)))
    inner = (negative.x * positive.x).sum(-1)
    bound = coverage_bound(negative.norm, negative.residual, positive.norm, positive.residual, d)
    assert (inner.abs() <= bound * (1 + 1e-9) + 1e-12).all()
    covered = Tokens(positive.x @ positive.basis @ positive.basis.T, positive.basis)
    inner = (negative.x * covered.x).sum(-1)
    bound = alignment_bound(negative.norm, negative.residual, covered.norm, d)
    assert (inner.square() <= bound * (1 + 1e-9) + 1e-12).all()


def test_alignment_bound_is_tight_for_a_token_parallel_to_the_projection() -> None:
    negative, _ = random_tokens(0, 24, 5)
    positive = Tokens(-3 * negative.x @ negative.basis @ negative.basis.T, negative.basis)
    inner = (negative.x * positive.x).sum(-1)
    bound = alignment_bound(negative.norm, negative.residual, positive.norm, 24)
    torch.testing.assert_close(inner.square(), bound, rtol=1e-9, atol=1e-12)


def test_coverage_bound_is_tight_for_tokens_outside_the_subspace() -> None:
    negative, _ = random_tokens(0, 24, 5)
    outside = negative.x - negative.x @ negative.basis @ negative.basis.T
    negative, positive = Tokens(outside, negative.basis), Tokens(2 * outside, negative.basis)
    inner = (negative.x * positive.x).sum(-1)
    bound = coverage_bound(negative.norm, negative.residual, positive.norm, positive.residual, 24)
    torch.testing.assert_close(inner, bound, rtol=1e-6, atol=1e-6)  # roots of differences of equal numbers


def test_alignment_bound_needs_a_positive_token_inside_the_subspace() -> None:
    """Half of the same token lies outside: the first bound is broken, and the second accounts for it."""
    negative, _ = random_tokens(0, 24, 5)
    inner = (negative.x * negative.x).sum(-1)
    partly = negative.residual > 0.2 * negative.norm.square() / 24
    assert partly.sum() > 100
    assert (inner.square() > alignment_bound(negative.norm, negative.residual, negative.norm, 24))[partly].all()
    assert (inner <= coverage_bound(negative.norm, negative.residual, negative.norm, negative.residual, 24)).all()


def test_proxy_is_the_mean_alignment_of_negative_tokens() -> None:
    alignment = torch.tensor([1.0, 2.0, 4.0, 9.0, torch.nan])
    negative = torch.tensor([True, True, True, False, True])
    proxy = lld_proxy(alignment, negative, torch.tensor([2, 0, 2, 0, 1]), 3, Exchange())
    torch.testing.assert_close(proxy, torch.tensor([2.0, torch.nan, 2.5], dtype=torch.float64), equal_nan=True)


def test_rank_correlation_is_of_the_order_and_not_of_the_size() -> None:
    proxy = torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert rank_correlation(proxy, proxy.exp()) == pytest.approx(1)
    assert rank_correlation(proxy, -proxy.exp()) == pytest.approx(-1)
    assert rank_correlation(proxy, torch.tensor([1.0, 3.0, 2.0, 4.0])) == pytest.approx(1 - 6 * 2 / (4 * 15))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("drop", [[], [1.0], [1.0, 2.0], [3.0, 3.0, 3.0]])
def test_rank_correlation_without_an_order_is_none(drop: list[float]) -> None:
    assert rank_correlation(torch.arange(len(drop)).double(), torch.tensor(drop)) is None
