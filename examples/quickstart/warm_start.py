# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The starting point: a small Qwen3 model, trained from scratch to write solutions of puzzles, not yet good at it."""

import math
import os
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from verl_resrl.tasks.countdown import Problem
from verl_resrl.tasks.countdown_solver import sample_solution

STEPS = 800
BATCH = 32
PEAK_LR = 3.5e-3
WARM_UP_STEPS = 30
PAD, EOS, USER, ASSISTANT, UNKNOWN = "<pad>", "<eos>", "<user>", "<assistant>", "<unk>"
CHARACTERS = "0123456789+-*=,>:"
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<' + message['role'] + '>' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ '<eos>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}"
)
IGNORED = -100  # label of tokens without loss


def character_tokenizer() -> PreTrainedTokenizerFast:
    """Build a tokenizer with one token per character and one per chat role."""
    vocabulary = {token: index for index, token in enumerate([PAD, EOS, USER, ASSISTANT, UNKNOWN, *CHARACTERS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer.decoder = decoders.Fuse()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=EOS,
        unk_token=UNKNOWN,
        additional_special_tokens=[USER, ASSISTANT],
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def small_model(tokenizer: PreTrainedTokenizerFast, seed: int) -> Qwen3ForCausalLM:
    """Build a Qwen3 model of about 0.8 million parameters with random weights.

    Args:
        tokenizer: gives the size of the vocabulary and the special tokens.
        seed: of the weights.
    """
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=512,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=32,
        max_position_embeddings=256,
        initializer_range=0.06,  # the default of 0.02 is for wide models: with it, this one needs twice the steps
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return Qwen3ForCausalLM(config)


def warm_start(train_file: Path, folder: Path, seed: int, report: Callable[[int, int, str], None]) -> None:
    """Train the model and save it with its tokenizer; the folder appears whole or not at all.

    Args:
        train_file: problems in verl's format.
        folder: of the result.
        seed: of weights and examples.
        report: called with steps done, steps in all and a note.
    """
    problems = [
        Problem.from_ground_truth(row["ground_truth"])
        for row in pq.read_table(train_file, columns=["reward_model"]).column("reward_model").to_pylist()
    ]
    tokenizer = character_tokenizer()
    model = small_model(tokenizer, seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_LR, betas=(0.9, 0.95), weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _learning_rate)
    rng = random.Random(seed)
    for step in range(STEPS):
        ids, labels = _batch(rng.choices(problems, k=BATCH), tokenizer, rng)
        logits = model(input_ids=ids[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        report(step + 1, STEPS, f"loss {loss.item():.2f}")
    unfinished = folder.with_name(folder.name + ".tmp")
    shutil.rmtree(unfinished, ignore_errors=True)
    model.save_pretrained(unfinished)
    tokenizer.save_pretrained(unfinished)
    os.replace(unfinished, folder)


def _batch(
    problems: Sequence[Problem], tokenizer: PreTrainedTokenizerFast, rng: random.Random
) -> tuple[Tensor, Tensor]:
    """One solution of each problem, after its prompt in the very format in which verl will tokenize it.

    Returns:
        Right-padded (n, length) int64 tokens, and labels that ignore prompt and padding.
    """
    shown = [Problem(tuple(rng.sample(p.numbers, len(p.numbers))), p.target) for p in problems]
    chats = [[{"role": "user", "content": problem.prompt}] for problem in shown]
    prompts = tokenizer(tokenizer.apply_chat_template(chats, add_generation_prompt=True, tokenize=False))["input_ids"]
    responses = tokenizer([sample_solution(problem, rng).text + EOS for problem in shown])["input_ids"]
    width = max(len(prompt) + len(response) for prompt, response in zip(prompts, responses, strict=True))
    ids = torch.full((len(shown), width), tokenizer.pad_token_id)
    labels = torch.full((len(shown), width), IGNORED)
    for row, (prompt, response) in enumerate(zip(prompts, responses, strict=True)):
        end = len(prompt) + len(response)
        ids[row, :end] = torch.tensor(prompt + response)
        labels[row, len(prompt) : end] = torch.tensor(response)
    return ids, labels


def _learning_rate(step: int) -> float:
    """Share of the peak: linear warm-up, then a cosine to 5%."""
    return min(1.0, (step + 1) / WARM_UP_STEPS) * (0.05 + 0.95 * (1 + math.cos(math.pi * step / STEPS)) / 2)
