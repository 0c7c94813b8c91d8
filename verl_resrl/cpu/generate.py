# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Batched sampling from a Hugging Face model, repeatable request by request.

Every request brings a seed of its own, and its tokens are drawn by inverting the cumulative distribution at uniform
numbers of that seed: what one request receives does not depend on which others share its batch. Equal prompts are
computed once, and responses that have ended leave the batch.
"""

import inspect
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

ENDED_SHARE = 1 / 16  # of the rows; below it, dropping them costs more (a copy of the cache) than decoding them
NUCLEUS = 1024  # likeliest tokens looked at first for top-p; more only where these do not suffice


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
    limits = torch.tensor([r.max_new_tokens for r in requests], device=model.device)
    if not (limits > 0).any():
        return [Completion([], []) for _ in requests]
    sampler = _Sampler.of(requests, int(limits.max()), model.device)
    eos = torch.tensor(sorted(eos_ids), device=model.device)
    tokens = torch.full(sampler.uniform.shape, -1, device=model.device)
    log_probs = torch.zeros(tokens.shape, device=model.device)
    ended = limits <= 0
    rows = _Rows.prefilled(model, requests, pad_id)
    for step in range(tokens.shape[1]):
        token, log_prob = sampler.sample(rows.logits, rows.request, step)
        going = ~ended[rows.request]
        tokens[rows.request[going], step] = token[going]
        log_probs[rows.request[going], step] = log_prob[going]
        ended[rows.request] |= torch.isin(token, eos) | (limits[rows.request] <= step + 1)
        if bool(ended.all()) or should_stop():
            break
        going = ~ended[rows.request]
        if going.float().mean() <= 1 - ENDED_SHARE:
            token = token[going]
            rows.keep(going.nonzero()[:, 0])
        rows.append(model, token)
    return _completions(tokens, log_probs, ended)


@dataclass
class _Rows:
    """What the model is computing: a row for each response that goes on, and for a few that have ended.

    Attributes:
        request: (rows,) index of the request each row belongs to.
        logits: (rows, vocabulary) of the next token.
        mask: (rows, tokens so far) 0 in the left padding.
        position: (rows, 1) of the last token.
        cache: keys and values of transformers.
    """

    request: Tensor
    logits: Tensor
    mask: Tensor
    position: Tensor
    cache: Any

    @classmethod
    def prefilled(cls, model: Any, requests: Sequence[Request], pad_id: int) -> "_Rows":
        """Compute each different prompt once; logits of its last position only, for those of all take gigabytes."""
        prompts = list(dict.fromkeys(tuple(r.prompt_ids) for r in requests))
        index = {prompt: row for row, prompt in enumerate(prompts)}
        ids, mask = (x.to(model.device) for x in _left_padded(prompts, pad_id))
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        last = {"logits_to_keep": 1} if "logits_to_keep" in inspect.signature(model.forward).parameters else {}
        output = model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=True, **last)
        request = torch.arange(len(requests), device=model.device)
        prefilled = cls(request, output.logits[:, -1], mask, positions[:, -1:], output.past_key_values)
        row = torch.tensor([index[tuple(r.prompt_ids)] for r in requests], device=model.device)
        prefilled.logits = prefilled.logits[row]
        prefilled._select(row)
        return prefilled

    def keep(self, kept: Tensor) -> None:
        """Go on with these rows alone; their logits are those of ``append``, which must follow."""
        self.request = self.request[kept]
        self._select(kept)

    def append(self, model: Any, token: Tensor) -> None:
        """Compute the logits after one more token, (rows,), of each row."""
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(token), 1)], -1)
        self.position = self.position + 1
        output = model(
            input_ids=token[:, None],
            attention_mask=self.mask,
            position_ids=self.position,
            past_key_values=self.cache,
            use_cache=True,
        )
        self.cache, self.logits = output.past_key_values, output.logits[:, -1]

    def _select(self, index: Tensor) -> None:
        self.cache.reorder_cache(index)  # of beam search: every kind of cache has it
        self.mask, self.position = self.mask[index], self.position[index]


@dataclass(frozen=True)
class _Sampler:
    """How each request is sampled.

    Attributes:
        uniform: (n, steps) float64 in [0, 1): the numbers that choose the tokens.
        temperature: (n, 1) 0 for the most likely token.
        top_k: (n, 1) likeliest tokens to sample among; 0 or below for all.
        top_p: (n, 1) their probability; 1 for all.
    """

    uniform: Tensor
    temperature: Tensor
    top_k: Tensor
    top_p: Tensor

    @classmethod
    def of(cls, requests: Sequence[Request], steps: int, device: torch.device) -> "_Sampler":
        uniform = [
            torch.rand(steps, generator=torch.Generator().manual_seed(r.seed), dtype=torch.float64) for r in requests
        ]
        return cls(
            torch.stack(uniform).to(device),
            torch.tensor([[float(r.temperature)] for r in requests], device=device),
            torch.tensor([[r.top_k] for r in requests], device=device),
            torch.tensor([[float(r.top_p)] for r in requests], device=device),
        )

    def sample(self, logits: Tensor, request: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """(rows, vocabulary) logits, (rows,) whose -> (rows,) tokens, (rows,) float32 log-probabilities of them."""
        temperature, top_k, top_p = self.temperature[request], self.top_k[request], self.top_p[request]
        drawn, log_prob = temperature[:, 0] > 0, logits.new_zeros(len(logits), dtype=torch.float32)
        # a pass over all logits takes as long as a layer of a small model: none that changes nothing
        greedy = None if drawn.all() else logits.argmax(-1)
        if greedy is not None and not drawn.any():
            return greedy, log_prob
        scaled = logits.float()
        if (temperature != 1).any():
            scaled = scaled / torch.where(drawn[:, None], temperature, 1.0)
        probabilities = torch.softmax(scaled, -1)
        cut = ((top_k > 0) | (top_p < 1))[:, 0]
        if cut.any():
            probabilities[cut] = _truncated(probabilities[cut], top_k[cut], top_p[cut])
        token = _invert_cdf(probabilities, self.uniform[request, step])
        log_prob = torch.where(drawn, probabilities.gather(1, token[:, None]).log()[:, 0], log_prob)
        return token if greedy is None else torch.where(drawn, token, greedy), log_prob


def _truncated(probabilities: Tensor, top_k: Tensor, top_p: Tensor) -> Tensor:
    """(rows, vocabulary) probabilities -> 0 for all but the likeliest tokens, and renormalised."""
    size = probabilities.shape[-1]
    top_k = torch.where(top_k > 0, top_k, size)
    width = min(NUCLEUS, size)
    while True:
        ordered, ids = probabilities.topk(width)
        before = ordered.cumsum(-1) - ordered
        keep = (torch.arange(width, device=ordered.device) < top_k) & ((before < top_p) | (top_p >= 1))
        if width == size or not keep[:, -1].any():
            break
        width = min(8 * width, size)
    keep[:, 0] = True
    kept = ordered * keep
    return torch.zeros_like(probabilities).scatter(1, ids, kept / kept.sum(-1, keepdim=True))


def _invert_cdf(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """(rows, vocabulary) float32, (rows,) float64 in [0, 1) -> (rows,) tokens; never one of probability 0."""
    cumulative = probabilities.cumsum(-1)
    target = uniform[:, None].to(cumulative.dtype) * cumulative[:, -1:]
    token = torch.searchsorted(cumulative, target, right=True)
    last = torch.searchsorted(cumulative, cumulative[:, -1:].contiguous())  # uniform may round to 1
    return torch.minimum(token, last)[:, 0]


def _left_padded(prompts: Sequence[Sequence[int]], pad_id: int) -> tuple[Tensor, Tensor]:
    width = max(len(p) for p in prompts)
    ids = torch.tensor([[pad_id] * (width - len(p)) + list(p) for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    return ids, mask


def _completions(tokens: Tensor, log_probs: Tensor, ended: Tensor) -> list[Completion]:
    lengths = (tokens >= 0).sum(1).tolist()
    return [
        Completion(token_ids[:n], values[:n], finished)
        for token_ids, values, n, finished in zip(
            tokens.tolist(), log_probs.tolist(), lengths, ended.tolist(), strict=True
        )
    ]
