# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Batched sampling against Hugging Face's own greedy search and forward pass, on small random models."""

import copy
import inspect
import random
from collections import Counter
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, PretrainedConfig, Qwen3Config

from verl_resrl.cpu.attention import SHARED_KEYS, share_keys
from verl_resrl.cpu.generate import Completion, Request, generate

VOCABULARY = 24
PAD, EOS = 0, 1
COMMON = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 128,
    "pad_token_id": PAD,
    "bos_token_id": None,
    "eos_token_id": EOS,
    "attn_implementation": "sdpa",
}
CONFIGS: dict[str, PretrainedConfig] = {
    "Llama": LlamaConfig(**COMMON),
    "Qwen3": Qwen3Config(**COMMON, head_dim=8),
    # absolute positions: rotary ones hide it when the padding is counted
    "GPT2": GPT2Config(
        vocab_size=VOCABULARY, n_embd=16, n_layer=2, n_head=2, n_positions=128, bos_token_id=None, eos_token_id=EOS
    ),
}
PROMPTS = [[5], [7, 3, 9, 2], [4, 4], [11, 12, 13, 14, 15, 16, 17], [2, 3, 2]]


@pytest.fixture(scope="module", params=CONFIGS)
def model(request: pytest.FixtureRequest) -> Any:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(CONFIGS[request.param]).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # distributions far from uniform, and different from each other
            parameter.add_(0.25 * torch.randn_like(parameter))
    share_keys(model)
    assert model.config._attn_implementation == SHARED_KEYS
    return model


def run(model: Any, requests: list[Request], eos_ids: tuple[int, ...] = (EOS,)) -> list[Completion]:
    return generate(model, requests, eos_ids=eos_ids, pad_id=PAD)


def next_token_log_probs(model: Any, ids: list[int]) -> torch.Tensor:
    """(tokens, vocabulary) log-probabilities by one plain forward, without padding or cache."""
    with torch.no_grad():
        return torch.log_softmax(model(input_ids=torch.tensor([ids])).logits[0].double(), -1)


def test_greedy_is_hugging_faces(model: Any) -> None:
    completions = run(model, [Request(prompt, 12, temperature=0.0) for prompt in PROMPTS])
    plain = copy.deepcopy(model)
    plain.set_attn_implementation("eager")
    for prompt, completion in zip(PROMPTS, completions, strict=True):
        with torch.no_grad():
            expected = plain.generate(
                input_ids=torch.tensor([prompt]),
                attention_mask=torch.ones(1, len(prompt), dtype=torch.int64),
                max_new_tokens=12,
                do_sample=False,
                eos_token_id=EOS,
                pad_token_id=PAD,
            )[0, len(prompt) :].tolist()
        assert completion.token_ids == expected
        assert completion.log_probs == [0.0] * len(expected)  # the only possible token
    assert len({tuple(completion.token_ids) for completion in completions}) > 1


@pytest.mark.parametrize("temperature", [1.0, 0.6, 1.7])
def test_log_probs_are_those_of_a_plain_forward(model: Any, temperature: float) -> None:
    completions = run(model, [Request(p, 10, temperature=temperature, seed=i) for i, p in enumerate(PROMPTS)])
    for prompt, completion in zip(PROMPTS, completions, strict=True):
        logits = next_token_log_probs(model, prompt + completion.token_ids)[len(prompt) - 1 : -1]
        expected = torch.log_softmax(logits / temperature, -1)
        chosen = expected.gather(1, torch.tensor(completion.token_ids)[:, None])[:, 0]
        torch.testing.assert_close(torch.tensor(completion.log_probs).double(), chosen, rtol=0, atol=1e-5)


def test_completion_does_not_depend_on_its_batch(model: Any) -> None:
    requests = [
        Request(PROMPTS[i % len(PROMPTS)], 3 + i % 8, (1.0, 0.7)[i % 2], (-1, 5)[i % 3 == 1], (1.0, 0.8)[i % 4 == 1], i)
        for i in range(24)
    ]
    alone = [run(model, [request])[0] for request in requests]
    order = list(range(len(requests)))
    for seed, size in ((0, 24), (1, 7), (2, 2)):
        random.Random(seed).shuffle(order)
        for begin in range(0, len(order), size):
            batch = order[begin : begin + size]
            for i, completion in zip(batch, run(model, [requests[i] for i in batch]), strict=True):
                assert completion.token_ids == alone[i].token_ids
                assert completion.log_probs == pytest.approx(alone[i].log_probs, abs=1e-5)
    assert len({tuple(completion.token_ids) for completion in alone}) > 15


def test_seed_repeats_and_seeds_differ(model: Any) -> None:
    first, again, other = run(model, [Request(PROMPTS[1], 12, seed=seed) for seed in (3, 3, 4)], eos_ids=())
    assert first.token_ids == again.token_ids
    assert first.log_probs == pytest.approx(again.log_probs, abs=1e-5)  # rounding depends on the row of the batch
    assert first.token_ids != other.token_ids


def test_a_longer_limit_only_adds_tokens(model: Any) -> None:
    short, long = (run(model, [Request(PROMPTS[1], n, seed=5)], eos_ids=())[0].token_ids for n in (4, 9))
    assert long[:4] == short


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_frequencies_are_the_softmax(model: Any, temperature: float) -> None:
    """Every token within five standard deviations of its binomial count, over seeds 0, 1, 2, ..."""
    draws = 4000
    prompt = PROMPTS[1]
    probabilities = torch.softmax(next_token_log_probs(model, prompt)[-1] / temperature, -1).tolist()
    counts: Counter[int] = Counter()
    for begin in range(0, draws, 1000):
        requests = [Request(prompt, 1, temperature, seed=seed) for seed in range(begin, begin + 1000)]
        counts.update(completion.token_ids[0] for completion in run(model, requests))
    assert sum(p > 0.02 for p in probabilities) >= 4  # worth counting
    for token, p in enumerate(probabilities):
        assert abs(counts[token] - draws * p) <= 5 * (draws * p * (1 - p)) ** 0.5 + 1, f"token {token}"


@pytest.mark.parametrize(("top_k", "top_p"), [(1, 1.0), (3, 1.0), (-1, 0.5), (-1, 1e-6), (6, 0.7), (100, 1.0)])
def test_truncation_keeps_exactly_the_likeliest(model: Any, top_k: int, top_p: float) -> None:
    prompt = PROMPTS[3]
    probabilities = next_token_log_probs(model, prompt)[-1].exp().tolist()
    allowed: list[int] = []
    mass = 0.0
    for token in sorted(range(VOCABULARY), key=lambda t: -probabilities[t]):
        if len(allowed) == (top_k if top_k > 0 else VOCABULARY) or (mass >= top_p and top_p < 1):
            break
        allowed.append(token)
        mass += probabilities[token]

    completions = run(model, [Request(prompt, 1, 1.0, top_k, top_p, seed) for seed in range(600)])
    drawn = {completion.token_ids[0] for completion in completions}
    assert drawn <= set(allowed)
    assert {token for token in allowed if probabilities[token] / mass > 0.03} <= drawn
    for completion in completions:  # renormalised over what is allowed
        expected = torch.tensor(probabilities[completion.token_ids[0]] / mass).log()
        assert completion.log_probs[0] == pytest.approx(float(expected), abs=1e-5)


def test_limits_are_per_request(model: Any) -> None:
    limits = [1, 9, 0, 4]
    completions = run(model, [Request(PROMPTS[1], limit, seed=i) for i, limit in enumerate(limits)], eos_ids=())
    assert [len(completion.token_ids) for completion in completions] == limits
    assert [len(completion.log_probs) for completion in completions] == limits


def test_end_of_sequence_is_kept_and_ends(model: Any) -> None:
    ends = (EOS, 6, 9)
    requests = [Request(PROMPTS[i % len(PROMPTS)], 20, seed=i) for i in range(40)]
    free = run(model, requests, eos_ids=())
    ended = run(model, requests, eos_ids=ends)
    cut = 0
    for long, short in zip(free, ended, strict=True):
        stop = next((t + 1 for t, token in enumerate(long.token_ids) if token in ends), 20)
        assert len(long.token_ids) == 20
        assert short.token_ids == long.token_ids[:stop]
        assert len(short.log_probs) == stop
        cut += stop < 20
    assert cut > 10


def test_equal_prompts_are_computed_once_and_ended_rows_leave(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    forward, rows = type(model).forward, []

    def counted(self: Any, *args: Any, **kwargs: Any) -> Any:
        output = forward(self, *args, **kwargs)
        rows.append((len(kwargs["input_ids"]), output.logits.shape[1]))
        return output

    counted.__signature__ = inspect.signature(forward)  # type: ignore[attr-defined]
    monkeypatch.setattr(type(model), "forward", counted)
    run(model, [Request(PROMPTS[i % 2], 12 if i < 2 else 3, seed=i) for i in range(40)], eos_ids=())
    assert rows[0] == (2, 1)  # two prompts, the logits of their last token
    assert [count for count, _ in rows[1:]] == [40, 40] + 9 * [2]


def test_no_request_no_completion(model: Any) -> None:
    assert run(model, []) == []


def test_only_empty_completions(model: Any) -> None:
    assert run(model, [Request(PROMPTS[0], 0)]) == [Completion([], [])]
