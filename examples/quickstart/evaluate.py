# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Held-out evaluation: many sampled responses to each problem, and what they say about a model."""

import hashlib
import json
import runpy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from settings import COUNTDOWN, QuickstartError, Settings
from transformers import AutoModelForCausalLM, AutoTokenizer

from verl_resrl.cpu.generate import Request, generate
from verl_resrl.passk import pass_at_k
from verl_resrl.tasks.countdown import canonical_answer

AVERAGED = 16  # samples of Avg@16
TOKENS_OF_A_BATCH = 32768  # prompts and responses that are generated together


@dataclass(frozen=True)
class Problem:
    """A held-out problem.

    Attributes:
        prompt_ids: its tokens.
        row: its row of the parquet file.
    """

    prompt_ids: list[int]
    row: dict[str, Any]


def evaluate(
    model_path: str, files: Sequence[Path], settings: Settings, report: Callable[[int, int, str], None]
) -> dict:
    """Sample and judge responses at temperature 1.

    Every response has a seed of its own, made of ``SEED``, problem and number of the response, so that all models
    get the same luck.

    Args:
        model_path: Hugging Face model with its tokenizer.
        files: held-out problems in verl's format.
        settings: of the run.
        report: called with responses done, responses in all and a note.

    Returns:
        What ``summary`` returns.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer: Any = AutoTokenizer.from_pretrained(model_path)
    # verl writes its checkpoints' config with bfloat16, whatever the weights are
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    model: Any = AutoModelForCausalLM.from_pretrained(model_path, dtype=dtype).eval()
    model.to(device)
    judge = _judge(settings.reward_file)
    problems = _problems(files, tokenizer, settings)
    eos = model.generation_config.eos_token_id
    eos_ids = {*(eos if isinstance(eos, list) else [eos]), tokenizer.eos_token_id} - {None}
    pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
    todo = [(p, s) for p in range(len(problems)) for s in range(settings.eval_samples)]
    size = max(1, TOKENS_OF_A_BATCH // (settings.max_prompt + settings.max_response))
    right = np.zeros((len(problems), settings.eval_samples), dtype=bool)
    answers: list[set[str]] = [set() for _ in problems]
    for start in range(0, len(todo), size):
        batch = todo[start : start + size]
        requests = [
            Request(problems[p].prompt_ids, settings.max_response, seed=_seed(settings.seed, p, s)) for p, s in batch
        ]
        for (p, s), completion in zip(batch, generate(model, requests, eos_ids, pad_id), strict=True):
            text = tokenizer.decode(completion.token_ids, skip_special_tokens=True)
            right[p, s] = judge(problems[p].row, text)
            if right[p, s]:
                answers[p].add(_answer(problems[p].row, text, settings.reward_file))
        done = start + len(batch)
        report(done, len(todo), f"{right.ravel()[:done].mean():.1%} right")
    return summary(right, [len(found) for found in answers])


def summary(right: np.ndarray, distinct: Sequence[int]) -> dict:
    """Condense the verdicts.

    Args:
        right: (num_problems, num_samples) bool, which responses are right.
        distinct: how many different right answers each problem got.

    Returns:
        ``avg_at_16``, ``pass_at_k`` (k as text, powers of two), ``distinct_correct``, the means over problems;
        ``num_problems``, ``num_samples``, and ``correct_per_problem``.
    """
    num_problems, num_samples = right.shape
    correct = right.sum(axis=1)
    ks = [2**i for i in range(num_samples.bit_length())]
    return {
        "num_problems": num_problems,
        "num_samples": num_samples,
        f"avg_at_{AVERAGED}": float(right[:, :AVERAGED].mean()),
        "pass_at_k": {str(k): float(pass_at_k(num_samples, correct, k).mean()) for k in ks},
        "distinct_correct": float(np.mean(distinct)),
        "correct_per_problem": correct.tolist(),
    }


def _problems(files: Sequence[Path], tokenizer: Any, settings: Settings) -> list[Problem]:
    """The first problems whose prompt is short enough; verl leaves longer ones out too."""
    found: list[Problem] = []
    for file in files:
        for row in pq.read_table(file).to_pylist():
            text = tokenizer.apply_chat_template(row["prompt"], add_generation_prompt=True, tokenize=False)
            ids = tokenizer(text, add_special_tokens=False)["input_ids"]
            if len(ids) <= settings.max_prompt:
                found.append(Problem(ids, row))
            if len(found) == settings.eval_problems:
                return found
    if not found:
        raise QuickstartError(f"VAL_FILES: every prompt is longer than MAX_PROMPT={settings.max_prompt} tokens")
    return found


def _judge(reward_file: Path | None) -> Callable[[dict, str], bool]:
    """The reward function that verl uses in training, as a verdict."""
    score: Any
    if reward_file is None:
        from verl.utils.reward_score import default_compute_score as score
    else:
        score = runpy.run_path(str(reward_file)).get("compute_score")
        if score is None:
            raise QuickstartError(f"REWARD_FILE: {reward_file} defines no compute_score()")

    def is_right(row: dict, text: str) -> bool:
        result = score(
            data_source=row["data_source"],
            solution_str=text,
            ground_truth=row["reward_model"]["ground_truth"],
            extra_info=row.get("extra_info"),
        )
        return float(result["score"] if isinstance(result, dict) else result) > 0

    return is_right


def _answer(row: dict, text: str, reward_file: Path | None) -> str:
    """Name a right answer; without knowledge of the task, by its text."""
    if reward_file == COUNTDOWN:
        return canonical_answer(text, row["reward_model"]["ground_truth"]) or text
    return " ".join(text.split())


def _seed(*identity: int) -> int:
    return int.from_bytes(hashlib.sha256(json.dumps(identity).encode()).digest()[:7], "big")
