# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The rollout of ``+device=cpu`` beside transformers' own sampling, on a model of SmolLM2-135M's shape."""

from functools import partial

import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from benchmarks.measure import interleaved_seconds
from benchmarks.record import Case, Measurement, Size, measurements, ratios
from verl_resrl.cpu.attention import share_keys
from verl_resrl.cpu.generate import Request, generate

OURS, BASELINE = "generate", "transformers"
SHAPE = {
    "vocab_size": 49152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "tie_word_embeddings": True,
}
PROMPT_TOKENS = (50, 200)
SIZE = Size(groups=8, rollouts=8, response_tokens=64, d=SHAPE["hidden_size"], k=0, dtype=torch.float32)
REPEATS = 3


def generation_cases(device: str) -> list[Case]:
    """List the lengths of prompts; there is one rollout like this, on CPUs.

    Args:
        device: ``cuda`` or ``cpu``.
    """
    if device == "cuda":
        return []
    names = {tokens: f"{SIZE.groups} prompts of {tokens} tokens x {SIZE.rollouts}" for tokens in PROMPT_TOKENS}
    return [
        Case("generation", name, partial(measure, name, SIZE, tokens, SHAPE, REPEATS)) for tokens, name in names.items()
    ]


def measure(case: str, size: Size, prompt_tokens: int, shape: dict[str, int], repeats: int) -> list[Measurement]:
    """Measure both on the same prompts; no response ends early.

    Args:
        case: of the measurements.
        size: prompts, responses to each, and their tokens.
        prompt_tokens: of each prompt.
        shape: of the model.
        repeats: timed calls.

    Returns:
        Time of both, and its ratio.
    """
    torch.manual_seed(0)
    config = LlamaConfig.from_dict({**shape, "eos_token_id": None, "attn_implementation": "sdpa"})
    model = AutoModelForCausalLM.from_config(config).eval()
    prompts = torch.randint(3, shape["vocab_size"], (size.groups, prompt_tokens))

    def ours() -> None:
        share_keys(model)
        requests = [
            Request(prompt, size.response_tokens, seed=response)
            for prompt in prompts.tolist()
            for response in range(size.rollouts)
        ]
        generate(model, requests, eos_ids=(), pad_id=0)

    def transformers() -> None:
        model.set_attn_implementation("sdpa")
        model.generate(
            input_ids=prompts,
            attention_mask=torch.ones_like(prompts),
            do_sample=True,
            top_k=0,
            max_new_tokens=size.response_tokens,
            num_return_sequences=size.rollouts,
            pad_token_id=0,
        )

    values = interleaved_seconds({OURS: ours, BASELINE: transformers}, repeats)
    rows = [row for method in values for row in measurements("generation", case, method, size, values[method])]
    return rows + ratios(rows, BASELINE)
