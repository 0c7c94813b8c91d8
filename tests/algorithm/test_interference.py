# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Interference against the dense form over the whole vocabulary, and against gradients by autograd."""

from dataclasses import dataclass, replace

import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor
from transformers import Qwen3Config, Qwen3ForCausalLM

from verl_resrl import ResRLConfig, interference
from verl_resrl.algorithm.error_matrix import chunks_of_groups
from verl_resrl.algorithm.exchange import Exchange
from verl_resrl.algorithm.groups import NonFiniteError
from verl_resrl.algorithm.quantiles import grouped_quantiles
from verl_resrl.algorithm.sampling import hash64
from verl_resrl.algorithm.tokens import Tokens
from verl_resrl.algorithm.weighting import residual_to_weight


@dataclass(frozen=True)
class Batch:
    """Response tokens, and the whole distribution that predicts each of them."""

    head_inputs: Tensor
    token_ids: Tensor
    probs: Tensor
    sequence_ids: Tensor
    group_ids: Tensor
    is_positive: Tensor
    token_keys: Tensor

    def interference(self, top_tokens: int, config: ResRLConfig, seed: int = 0, scale: float = 1.0) -> Tensor:
        probs, ids = self.probs.topk(top_tokens)
        return interference(
            self.head_inputs * scale,
            self.token_ids,
            ids,
            probs,
            self.sequence_ids,
            self.group_ids,
            self.is_positive,
            config,
            seed,
            token_keys=self.token_keys,
        )

    @property
    def group(self) -> Tensor:
        return self.group_ids[self.sequence_ids]

    @property
    def positive(self) -> Tensor:
        return self.is_positive[self.sequence_ids]

    def dense(self) -> Tensor:
        """I in float64 from whole prediction errors and M of the size of the head; every group is active."""
        delta = self.probs.double() - torch.nn.functional.one_hot(self.token_ids, self.probs.shape[1])
        x, result = self.head_inputs.double(), torch.empty(len(delta), dtype=torch.float64)
        for group in self.group_ids.unique():
            here = self.group == group
            right = here & self.positive
            result[here] = ((delta[here] @ (delta[right].T @ x[right])) * x[here]).sum(1)
        return result

    def permuted(self, order: Tensor) -> "Batch":
        tokens = (self.head_inputs[order], self.token_ids[order], self.probs[order], self.sequence_ids[order])
        return Batch(*tokens, self.group_ids, self.is_positive, self.token_keys[order])


def random_batch(groups: int = 3, d: int = 40, vocabulary: int = 60, seed: int = 0) -> Batch:
    """Six responses a group, three of them right, of 1 to 20 tokens."""
    generator = torch.Generator().manual_seed(seed)
    sequences = 6 * groups
    lengths = torch.randint(1, 21, (sequences,), generator=generator)
    sequence = torch.repeat_interleave(torch.arange(sequences), lengths)
    x = torch.randn(len(sequence), d, generator=generator) + torch.randn(d, generator=generator)
    head = torch.randn(vocabulary, d, generator=generator) / 4
    probs = (x @ head.T).softmax(1)
    tokens = torch.multinomial(probs, 1, generator=generator)[:, 0]
    group_ids, is_positive = torch.arange(sequences) // 6 * 7 - 1, torch.arange(sequences) % 2 == 0
    return Batch(x, tokens, probs, sequence, group_ids, is_positive, hash64(torch.arange(len(x))))


def sampled_batch(tied: bool, seed: int) -> Batch:
    """Responses that a small random model writes, with the inputs of its head."""
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=700,
        hidden_size=80,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=20,
        initializer_range=0.25,
        tie_word_embeddings=tied,
    )
    model = Qwen3ForCausalLM(config).eval()
    model.lm_head.weight.data.mul_(2.0)  # predictions as sharp as those of a trained model
    groups, rollouts, length = 3, 16, 40
    ids = torch.randint(0, 700, (groups, 6)).repeat_interleave(rollouts, 0)
    with torch.no_grad():
        for _ in range(length):
            ids = torch.cat([ids, torch.multinomial(model(ids).logits[:, -1].softmax(1), 1)], 1)
        out = model(ids[:, :-1], output_hidden_states=True)
    probs = out.logits[:, 5:].softmax(-1).flatten(0, 1)
    states = out.hidden_states[-1][:, 5:].flatten(0, 1)
    sequence = torch.arange(groups * rollouts).repeat_interleave(length)
    group_ids, is_positive = torch.arange(groups).repeat_interleave(rollouts), torch.rand(groups * rollouts) < 0.4
    keys = hash64(torch.arange(len(states)))
    return Batch(states, ids[:, 6:].flatten(), probs, sequence, group_ids, is_positive, keys)


@pytest.mark.parametrize(("tied", "seed"), [(True, 0), (False, 1)])
def test_default_settings_agree_with_the_dense_form(tied: bool, seed: int) -> None:
    """64 of 80 directions and 32 of 700 tokens."""
    batch = sampled_batch(tied, seed)
    config = ResRLConfig(weighting="interference")
    result, expected = batch.interference(config.top_tokens, config), batch.dense()
    negative = ~batch.positive

    def weights(score: Tensor) -> Tensor:
        limits = grouped_quantiles(score[negative].float(), batch.group[negative], 3, (config.q_low, config.q_high))
        return residual_to_weight(score[negative].float(), batch.group[negative], limits, config)

    for group in range(3):
        here = batch.group == group
        assert spearmanr(result[here], expected[here]).statistic >= 0.999
        assert (weights(result) - weights(expected))[here[negative]].abs().mean() <= 1e-2


def test_nothing_left_out_is_exact() -> None:
    batch = random_batch()
    expected = batch.dense()
    result = batch.interference(60, ResRLConfig(rank=40)).double()
    assert (result - expected).abs().max() <= 2e-5 * expected.abs().max()
    assert (batch.interference(60, ResRLConfig(rank=8)) - expected).abs().max() > 0.01 * expected.abs().max()
    assert (batch.interference(5, ResRLConfig(rank=40)) - expected).abs().max() > 0.01 * expected.abs().max()


def test_directions_are_spent_on_tokens_with_an_error() -> None:
    """Of four right tokens in five the model is sure: few directions hold all that the others say."""
    batch = random_batch(groups=2, d=90)
    sure = torch.arange(len(batch.token_ids)) % 5 > 0
    sure &= batch.positive
    certain = torch.nn.functional.one_hot(batch.token_ids, batch.probs.shape[1]).float()
    batch = replace(batch, probs=torch.where(sure[:, None], certain, batch.probs))
    unsure = int(torch.bincount(batch.group[batch.positive & ~sure].clamp_min(0)).max())
    assert unsure < 12 < int(torch.bincount(batch.group[batch.positive].clamp_min(0)).max())
    result, expected = batch.interference(60, ResRLConfig(rank=12)).double(), batch.dense()
    assert (result - expected).abs().max() <= 1e-4 * expected.abs().max()


@pytest.mark.parametrize("cap", [None, 2.0])
def test_it_is_the_product_of_head_gradients(cap: float | None) -> None:
    """I is <d log p(t) / dW, d sum of positive log p / dW>, with capped logits too."""
    batch = random_batch(groups=1)
    generator = torch.Generator().manual_seed(3)
    head = torch.randn(60, 40, generator=generator, dtype=torch.float64).div_(4).requires_grad_()
    logits = batch.head_inputs.double() @ head.T
    if cap is not None:
        logits = cap * torch.tanh(logits / cap)
    log_p = logits.log_softmax(1).gather(1, batch.token_ids[:, None])[:, 0]
    (total,) = torch.autograd.grad(log_p[batch.positive].sum(), head, retain_graph=True)
    some = [0, 7, len(log_p) - 1]
    expected = [(torch.autograd.grad(log_p[t], head, retain_graph=True)[0] * total).sum().item() for t in some]
    probs, ids = logits.detach().softmax(1).float().topk(60)
    slopes = None if cap is None else (1 - (logits.detach() / cap) ** 2).gather(1, ids).float()
    arguments = (batch.token_ids, ids, probs, batch.sequence_ids, batch.group_ids, batch.is_positive)
    result = interference(batch.head_inputs, *arguments, ResRLConfig(rank=40), top_slopes=slopes)
    assert result[some].tolist() == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_neither_order_nor_neighbours_nor_memory_change_a_bit() -> None:
    batch = random_batch(groups=5, d=37)
    config = ResRLConfig(rank=6, max_positive_tokens=20)
    result = batch.interference(9, config)
    order = torch.randperm(len(result), generator=torch.Generator().manual_seed(1))
    assert torch.equal(batch.permuted(order).interference(9, config), result[order])
    assert torch.equal(batch.interference(9, ResRLConfig(rank=6, max_positive_tokens=20, max_workspace_gb=0)), result)
    tokens = batch.group == 6
    alone = batch.permuted(tokens.nonzero()[:, 0]).interference(9, config)
    assert torch.equal(alone, result[tokens])
    assert torch.equal(batch.interference(9, config, seed=0), result)
    assert not torch.equal(batch.interference(9, config, seed=1), result)


def test_size_of_the_inputs_costs_no_digits() -> None:
    batch = random_batch()
    result = batch.interference(9, ResRLConfig(rank=6))
    large = batch.interference(9, ResRLConfig(rank=6), scale=2.0**14)
    torch.testing.assert_close(large / 2.0**28, result, rtol=1e-4, atol=1e-4)


def test_groups_share_the_workspace() -> None:
    group = torch.tensor([0, 0, 1, 2, 2, 3])
    tokens = Tokens(torch.empty(0), torch.arange(6), group, torch.tensor([1, 1, 1, 1, 0, 1]).bool(), group, 4)
    ids = torch.tensor([[1, 2], [2, 3], [1, 2], [5, 6], [7, 8], [1, 1]])  # supports of 3, 2, 2 and 1 tokens

    def chunks(rows: int) -> list[tuple[int, int]]:
        return chunks_of_groups(tokens, ids, rows, Exchange())

    assert chunks(8) == [(0, 4)]
    assert chunks(5) == [(0, 2), (2, 4)]
    assert chunks(4) == [(0, 1), (1, 3), (3, 4)]
    assert chunks(0) == [(0, 1), (1, 2), (2, 3), (3, 4)]


def test_groups_without_it_are_nan() -> None:
    batch = random_batch(groups=4)
    right = torch.tensor([[1, 0, 1, 0, 1, 0], [1] * 6, [0] * 6, [1, 0, 0, 0, 0, 0]]).bool().flatten()
    tokens = int((batch.sequence_ids == 18).sum())
    batch = replace(batch, is_positive=right)
    result = batch.interference(9, ResRLConfig(rank=6, min_positive_tokens=tokens + 1, max_positive_tokens=100))
    assert torch.equal(result.isnan(), batch.group != -1)
    assert interference(
        torch.zeros(0, 8),
        *(torch.zeros(0, dtype=torch.int64), torch.zeros(0, 3, dtype=torch.int64), torch.zeros(0, 3)),
        *(torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.bool)),
    ).shape == (0,)


@pytest.mark.parametrize(("field", "name"), [("head_inputs", "head inputs"), ("probs", "probabilities")])
def test_what_is_not_finite_stops_or_is_left_out(field: str, name: str) -> None:
    batch = random_batch()
    place = int((batch.group == 6).nonzero()[0])
    getattr(batch, field)[place, 0] = torch.nan
    with pytest.raises(NonFiniteError, match=f"ResRL: {name} of 1 response tokens"):
        batch.interference(60, ResRLConfig(rank=6))
    result = batch.interference(60, ResRLConfig(rank=6, on_failure="fallback"))
    assert torch.equal(result.isnan(), batch.group == 6)


def test_wrong_shapes_are_named() -> None:
    batch = random_batch()
    probs, ids = batch.probs.topk(4)
    rest = (batch.sequence_ids, batch.group_ids, batch.is_positive)
    with pytest.raises(ValueError, match=r"top_probs must be \(\d+, 4\) of torch.float32"):
        interference(batch.head_inputs, batch.token_ids, ids, probs[:, :3], *rest)
    with pytest.raises(ValueError, match=r"head_inputs must be .* not .* of torch.float64"):
        interference(batch.head_inputs.double(), batch.token_ids, ids, probs, *rest)
    with pytest.raises(ValueError, match=r"top_ids must be \(\d+, m\) of torch.int64"):
        interference(batch.head_inputs, batch.token_ids, ids[:, 0], probs, *rest)
    with pytest.raises(ValueError, match=r"token_ids must be \(\d+,\) of torch.int64"):
        interference(batch.head_inputs, batch.token_ids[1:], ids, probs, *rest)
    zeros_and_ones = (batch.sequence_ids, batch.group_ids, batch.is_positive.long())
    with pytest.raises(ValueError, match=r"is_positive must be \(\d+,\) of torch.bool, not .* of torch.int64"):
        interference(batch.head_inputs, batch.token_ids, ids, probs, *zeros_and_ones)
