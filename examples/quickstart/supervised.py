# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The supervised start of a pretrained model: a short training on worked solutions, so that it is sometimes right."""

import math
import os
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from verl_resrl.evaluation.generate import free_memory

BATCH = 8
PEAK_LR = 3e-4
WARM_UP_STEPS = 5
LAYERS = 12  # the upper ones are trained: less than half of the work, and the lower ones stay as they were pretrained
IGNORED = -100  # label of tokens without loss
Example = tuple[list[int], list[int]]  # tokens of prompt and solution


def supervised_start(
    pretrained: Path | str, problems: Path, folder: Path, seed: int, report: Callable[[int, int, str], None]
) -> None:
    """Train once on each problem and save the model; the folder appears whole or not at all.

    Args:
        pretrained: Hugging Face model with a chat template, a folder or a name on the hub.
        problems: parquet file in verl's format with a solution in ``extra_info.solution``.
        folder: of the result.
        seed: of the order.
        report: called with steps done, steps in all and a note.
    """
    torch.manual_seed(seed)
    tokenizer: Any = AutoTokenizer.from_pretrained(pretrained)
    model: Any = AutoModelForCausalLM.from_pretrained(pretrained, dtype=torch.float32)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    model.requires_grad_(False)
    trained = [parameter for layer in model.model.layers[-LAYERS:] for parameter in layer.parameters()]
    for parameter in trained:
        parameter.requires_grad_(True)
    examples = read_examples(problems, tokenizer)
    random.Random(seed).shuffle(examples)
    batches = [examples[first : first + BATCH] for first in range(0, len(examples), BATCH)]
    optimizer = torch.optim.AdamW(trained, lr=PEAK_LR, betas=(0.9, 0.95), weight_decay=0.0, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _learning_rate(step, len(batches)))
    for step, batch in enumerate(batches):
        loss = _loss(model, batch, tokenizer.pad_token_id)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
        report(step + 1, len(batches), f"loss {loss.item():.2f}")
    unfinished = folder.with_name(folder.name + ".tmp")
    shutil.rmtree(unfinished, ignore_errors=True)
    model.save_pretrained(unfinished)
    tokenizer.save_pretrained(unfinished)
    os.replace(unfinished, folder)
    del model, trained, optimizer, schedule, loss
    free_memory()


def read_examples(problems: Path, tokenizer: Any) -> list[Example]:
    """Tokenize prompts and solutions in the very format in which verl will tokenize them.

    Args:
        problems: parquet file, as ``supervised_start`` takes it.
        tokenizer: with a chat template.
    """
    rows = pq.read_table(problems, columns=["prompt", "extra_info"]).to_pylist()
    prompts = [tokenizer.apply_chat_template(r["prompt"], add_generation_prompt=True, tokenize=False) for r in rows]
    solutions = [row["extra_info"]["solution"] + tokenizer.eos_token for row in rows]
    return list(zip(tokenizer(prompts)["input_ids"], tokenizer(solutions)["input_ids"], strict=True))


def _loss(model: Any, batch: Sequence[Example], pad: int) -> Tensor:
    """Cross-entropy of the solutions; the head sees their positions alone."""
    width = max(len(prompt) + len(solution) for prompt, solution in batch)
    ids, mask = torch.full((len(batch), width), pad), torch.zeros(len(batch), width, dtype=torch.int64)
    labels = torch.full((len(batch), width), IGNORED)
    for row, (prompt, solution) in enumerate(batch):
        end = len(prompt) + len(solution)
        ids[row, :end], mask[row, :end] = torch.tensor(prompt + solution), 1
        labels[row, len(prompt) : end] = torch.tensor(solution)
    ids, mask, labels = (part.to(model.device) for part in (ids, mask, labels))
    hidden = model.model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state[:, :-1]
    wanted = labels[:, 1:]
    return torch.nn.functional.cross_entropy(model.lm_head(hidden[wanted != IGNORED]), wanted[wanted != IGNORED])


def _learning_rate(step: int, steps: int) -> float:
    """Share of the peak: linear warm-up, then a cosine to 5%."""
    return min(1.0, (step + 1) / WARM_UP_STEPS) * (0.05 + 0.95 * (1 + math.cos(math.pi * step / steps)) / 2)
