# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Batched sampling from a Hugging Face model, repeatable request by request.

Every request brings a seed of its own, and its tokens are drawn by inverting the cumulative distribution at uniform
numbers of that seed: what one request receives does not depend on which others share its batch.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Request:
    """One completion to sample.

    Attributes:
        prompt_ids: tokens of the prompt, at least one.
        max_new_tokens: most tokens to generate.
        temperature: 0 takes the most likely token.
        top_k: sample among the k most likely tokens; 0 or below means all.
        top_p: sample among the most likely tokens that together have this probability; 1 means all.
        seed: of the uniform numbers that choose the tokens.
    """

    prompt_ids: Sequence[int]
    max_new_tokens: int
    temperature: float = 1.0
    top_k: int = -1
    top_p: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class Completion:
    """A sampled completion.

    Attributes:
        token_ids: the tokens, the end-of-sequence token included if it was reached.
        log_probs: log-probability of each under the distribution it was drawn from.
        finished: whether it reached its end or its limit; False if it was stopped before.
    """

    token_ids: list[int]
    log_probs: list[float]
    finished: bool = True


@torch.inference_mode()
def generate(
    model: Any,
    requests: Sequence[Request],
    eos_ids: Collection[int],
    pad_id: int,
    should_stop: Callable[[], bool] = lambda: False,
) -> list[Completion]:
    """Sample one completion per request in a single batch.

    Args:
        model: causal language model of Hugging Face transformers, in eval mode.
        requests: what to sample.
        eos_ids: tokens that end a completion.
        pad_id: token for the left padding.
        should_stop: asked after every token; True ends all completions as they are.

    Returns:
        One completion per request, in their order.
    """
    if all(request.max_new_tokens <= 0 for request in requests):
        return [Completion([], []) for _ in requests]
    device = model.device
    ids, mask = _left_padded([r.prompt_ids for r in requests], pad_id)
    ids, mask = ids.to(device), mask.to(device)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    limits = torch.tensor([r.max_new_tokens for r in requests], device=device)
    eos = torch.tensor(sorted(eos_ids), device=device)
    steps = int(limits.max())
    uniform = torch.stack([_uniform(r.seed, steps) for r in requests]).to(device)
    done = limits <= 0
    cache, tokens, log_probs = None, [], []
    for step in range(steps):
        output = model(
            input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True
        )
        cache = output.past_key_values
        distribution = _distribution(output.logits[:, -1], requests)
        token = _invert_cdf(distribution, uniform[:, step])
        log_prob = distribution.gather(1, token).log()
        tokens.append(torch.where(done[:, None], -1, token))
        log_probs.append(log_prob)
        done = done | torch.isin(token[:, 0], eos) | (limits <= step + 1)
        if bool(done.all()) or should_stop():
            break
        ids, positions = token, positions[:, -1:] + 1
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], -1)
    return _completions(torch.cat(tokens, 1), torch.cat(log_probs, 1), done)


def _left_padded(prompts: Sequence[Sequence[int]], pad_id: int) -> tuple[Tensor, Tensor]:
    width = max(len(p) for p in prompts)
    ids = torch.tensor([[pad_id] * (width - len(p)) + list(p) for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    return ids, mask


def _uniform(seed: int, count: int) -> Tensor:
    return torch.rand(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _distribution(logits: Tensor, requests: Sequence[Request]) -> Tensor:
    """(n, vocabulary) logits -> float64 probabilities after temperature, top-k and top-p of each request."""
    temperature = torch.tensor([[r.temperature] for r in requests], dtype=torch.float64, device=logits.device)
    logits = logits.double()
    greedy = torch.nn.functional.one_hot(logits.argmax(-1), logits.shape[-1]).double()
    probabilities = torch.softmax(logits / torch.where(temperature > 0, temperature, 1.0), -1)
    if any(r.top_k > 0 or r.top_p < 1 for r in requests):
        probabilities = _truncate(probabilities, requests)
    return torch.where(temperature > 0, probabilities, greedy)


def _truncate(probabilities: Tensor, requests: Sequence[Request]) -> Tensor:
    size = probabilities.shape[-1]
    top_k = torch.tensor([[r.top_k if r.top_k > 0 else size] for r in requests], device=probabilities.device)
    top_p = torch.tensor([[r.top_p] for r in requests], dtype=torch.float64, device=probabilities.device)
    ordered, order = probabilities.sort(dim=-1, descending=True, stable=True)
    before = ordered.cumsum(-1) - ordered
    keep = (torch.arange(size, device=probabilities.device) < top_k) & ((before < top_p) | (top_p >= 1))
    keep[:, 0] = True
    kept = torch.zeros_like(probabilities).scatter(-1, order, torch.where(keep, ordered, 0.0))
    return kept / kept.sum(-1, keepdim=True)


def _invert_cdf(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """(n, vocabulary), (n,) in [0, 1) -> (n, 1) sampled tokens; never one of probability 0."""
    cumulative = probabilities.cumsum(-1)
    target = uniform[:, None] * cumulative[:, -1:]
    token = torch.searchsorted(cumulative, target, right=True)
    last = probabilities.shape[-1] - 1 - (probabilities > 0).flip(-1).int().argmax(-1, keepdim=True)
    return torch.minimum(token, last)


def _completions(tokens: Tensor, log_probs: Tensor, done: Tensor) -> list[Completion]:
    lengths = (tokens >= 0).sum(1).tolist()
    return [
        Completion(token_ids[:n], values[:n], finished)
        for token_ids, values, n, finished in zip(
            tokens.tolist(), log_probs.tolist(), lengths, done.tolist(), strict=True
        )
    ]
