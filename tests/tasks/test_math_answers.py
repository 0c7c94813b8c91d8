# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Right and wrong answers to mathematics of every kind that was ever judged wrongly.

``math_answers.jsonl`` has answers with the verdict that they deserve, collected from the tests of graders, from
benchmarks and from reports of users. ``math_variants.jsonl`` has our own: for each gold answer right and wrong ones.
"""

import json
import logging
from pathlib import Path

import pytest

from verl_resrl.tasks.math_grader import grade

logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns that it has no time limit, which it shall not have
FOLDER = Path(__file__).parent


def rows(name: str) -> list[dict]:
    return [json.loads(line) for line in (FOLDER / name).read_text(encoding="utf-8").splitlines()]


REPORTED = rows("math_answers.jsonl")


@pytest.mark.parametrize("kind", sorted({row["kind"] for row in REPORTED}))
def test_reported(kind: str) -> None:
    cases = [row for row in REPORTED if row["kind"] == kind]
    wrong = [row for row in cases if grade(row["response"], row["gold"]).right != row["right"]]
    assert not wrong


@pytest.mark.parametrize("row", rows("math_variants.jsonl"), ids=lambda row: row["gold"][:40])
def test_variants(row: dict) -> None:
    rejected = [answer for answer in row["right"] if not grade(answer, row["gold"]).right]
    accepted = [answer for answer in row["wrong"] if grade(answer, row["gold"]).right]
    assert (rejected, accepted) == ([], [])


@pytest.mark.parametrize("row", rows("math_variants.jsonl"), ids=lambda row: row["gold"][:40])
def test_gold_answer_is_right_in_a_box_and_on_the_last_line(row: dict) -> None:
    assert grade(rf"so \boxed{{{row['gold']}}}", row["gold"]).right
    assert grade(f"Thus.\nAnswer: {row['gold']}", row["gold"]).right
