# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Countdown problems for training and evaluation, in verl's data format."""

import itertools
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

from verl_resrl.tasks.countdown import DATA_SOURCE, Problem
from verl_resrl.tasks.countdown_solver import solutions_by_target
from verl_resrl.tasks.rows import write_rows


def generate_problems(
    train: int,
    test: int,
    seed: int,
    num_numbers: int = 4,
    min_answers: int = 5,
    targets: Iterable[int] = range(10, 100),
) -> tuple[list[Problem], list[Problem]]:
    """Draw training and held-out problems with several right answers each.

    No problem appears twice, not even with its numbers in another order.

    Args:
        train: number of training problems.
        test: number of held-out problems.
        seed: same seed, same problems; the held-out ones do not depend on ``train``.
        num_numbers: how many numbers are given.
        min_answers: fewest distinct right answers of a problem.
        targets: allowed targets.

    Returns:
        Training problems, held-out problems.

    Raises:
        ValueError: there are not that many such problems.
    """
    allowed = set(targets)
    found = [
        (numbers, target)
        for numbers in itertools.combinations_with_replacement(range(1, 10), num_numbers)
        for target, answers in solutions_by_target(numbers).items()
        if target in allowed and len(answers) >= min_answers
    ]
    if train + test > len(found):
        raise ValueError(f"Countdown: {train} + {test} problems wanted, only {len(found)} have {min_answers} answers")
    rng = random.Random(seed)
    rng.shuffle(found)
    shown = [Problem(tuple(rng.sample(numbers, len(numbers))), target) for numbers, target in found[: test + train]]
    return shown[test:], shown[:test]


def write_parquet(problems: Sequence[Problem], split: str, path: Path) -> None:
    """Write problems in verl's data format; the file appears whole or not at all.

    Args:
        problems: one row each.
        split: "train" or "test".
        path: the file.
    """
    rows = [
        {
            "data_source": DATA_SOURCE,
            "prompt": [{"role": "user", "content": problem.prompt}],
            "ability": "arithmetic",
            "reward_model": {"style": "rule", "ground_truth": problem.ground_truth},
            "extra_info": {"index": index, "split": split},
        }
        for index, problem in enumerate(problems)
    ]
    write_rows(rows, path)
