# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Verdicts on problems of Codeforces -> a rating, and the share of people that it leaves behind."""

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from verl_resrl.evaluation.problems import Problem
from verl_resrl.evaluation.samples import Sample
from verl_resrl.evaluation.settings import EvaluationError

SOURCE = "codeforces"  # the name in tasks.data.sources
USERS = "codeforces.com/api/user.ratedList?activeOnly=true"


def codeforces_summary(
    problems: Sequence[Problem], samples: Sequence[Sample], users: Path | None
) -> dict[str, float] | None:
    """Rate a model by its solved problems; see ``tasks.benchmarks.codeforces_rating``.

    Args:
        problems: all of them; those count that scripts/prepare_data.py made of Codeforces' problems with a rating.
        samples: responses to them.
        users: the answer of Codeforces' API about all rated users, a JSON file; None: no percentile.

    Returns:
        ``rating``, ``num_problems``, and with ``users`` also ``percentile``, the percentage of them with a lower
        rating, and ``num_users``. None if no problem has a rating.

    Raises:
        EvaluationError: the file of users is not what the API sends.
    """
    from verl_resrl.tasks.benchmarks import codeforces_rating

    verdicts: dict[int, list[bool]] = defaultdict(list)
    for sample in samples:
        verdicts[sample.problem].append(sample.correct)
    difficulty = {number: rating_of(problems[number]) for number in verdicts}
    rated = {number: value for number, value in difficulty.items() if value is not None}
    if not rated:
        return None
    rating = codeforces_rating(list(rated.values()), [float(np.mean(verdicts[number])) for number in rated])
    result = {"rating": rating, "num_problems": len(rated)}
    if users is not None:
        others = read_users(users)
        result |= {"percentile": percentile(rating, others), "num_users": len(others)}
    return result


def rating_of(problem: Problem) -> int | None:
    """Difficulty of a problem of Codeforces on the scale of its users' ratings; None for any other problem."""
    return problem.row["extra_info"]["rating"] if problem.row["data_source"] == SOURCE else None


def read_users(file: Path) -> list[float]:
    """Read everybody's rating.

    Args:
        file: what codeforces.com/api/user.ratedList?activeOnly=true sends.

    Raises:
        EvaluationError: it is something else.
    """
    try:
        answer: Any = json.loads(file.read_text(encoding="utf-8"))
        ratings = [float(user["rating"]) for user in answer["result"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EvaluationError(
            f"--codeforces-users {file}: {type(error).__name__} {error}; download it from https://{USERS}"
        ) from None
    if not ratings:
        raise EvaluationError(f"--codeforces-users {file}: no users in it; download it from https://{USERS}")
    return ratings


def percentile(rating: float, others: Sequence[float]) -> float:
    """Percentage of the others who are rated lower.

    Args:
        rating: of the model.
        others: ratings, at least one.
    """
    return 100 * float(np.mean(np.asarray(others) < rating))
