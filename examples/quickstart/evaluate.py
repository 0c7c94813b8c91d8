# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Held-out evaluation: many sampled responses to each problem, and what they say about a model."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from settings import Settings

from verl_resrl.evaluation.evaluate import sample_and_judge
from verl_resrl.evaluation.generate import HFGenerator, Job, Sampling, load_tokenizer
from verl_resrl.evaluation.judge import Judge
from verl_resrl.evaluation.problems import read_problems
from verl_resrl.evaluation.samples import Sample
from verl_resrl.evaluation.summary import distinct_correct
from verl_resrl.statistics.passk import pass_at_k, powers_of_two

AVERAGED = 16  # samples of Avg@16


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
    tokenizer = load_tokenizer(model_path)
    problems = read_problems(files, tokenizer, settings.max_prompt, settings.eval_problems)
    generator = HFGenerator(
        model_path, tokenizer, Sampling(settings.max_response, settings.max_prompt, seed=settings.seed)
    )
    jobs = [Job(problem, sample) for problem in range(len(problems)) for sample in range(settings.eval_samples)]
    groups: list[list[Sample]] = [[] for _ in problems]
    done = right = 0
    for batch in sample_and_judge(generator, Judge(settings.reward_file), problems, jobs, (), tokenizer):
        for sample in batch:
            groups[sample.problem].append(sample)
            done += 1
            right += sample.correct
        report(done, len(jobs), f"{right / done:.1%} right")
    correct = np.array([[sample.correct for sample in group] for group in groups])
    return summary(correct, [distinct_correct(group) for group in groups])


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
    return {
        "num_problems": num_problems,
        "num_samples": num_samples,
        f"avg_at_{AVERAGED}": float(right[:, :AVERAGED].mean()),
        "pass_at_k": {str(k): float(pass_at_k(num_samples, correct, k).mean()) for k in powers_of_two(num_samples)},
        "distinct_correct": float(np.mean(distinct)),
        "correct_per_problem": correct.tolist(),
    }
