# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Figures of a set of samples, counted by hand."""

import io
import re

import pytest
from rich.console import Console

from verl_resrl.evaluation.answer_classes import with_common_names
from verl_resrl.evaluation.samples import Sample
from verl_resrl.evaluation.summary import distinct_correct, majority_vote, self_bleu, summarize
from verl_resrl.evaluation.table import summary_tables


def sample(problem: int, number: int, correct: bool, answer: str | None, source: str = "a", tokens: int = 1) -> Sample:
    return Sample(problem, number, source, "p", f"text {answer}", float(correct), correct, answer, tokens, True)


def test_summary_against_hand_counted_numbers() -> None:
    samples = [
        sample(0, 0, True, "x", tokens=2),
        sample(0, 1, False, "y", tokens=4),
        sample(0, 2, False, "y", tokens=6),
        sample(0, 3, False, "y", tokens=8),
        *(sample(1, i, i < 2, "uv"[i] if i < 2 else None, "b") for i in range(4)),
    ]
    summary = summarize(samples[::-1], [1, 2])
    first, second, overall = summary["data_sources"]["a"], summary["data_sources"]["b"], summary["overall"]
    assert first["avg_at_n"] == {"mean": 0.25, "low": 0.25, "high": 0.25}  # one problem has no spread
    assert (first["pass_at_k"]["2"]["mean"], second["pass_at_k"]["2"]["mean"]) == pytest.approx((3 / 6, 5 / 6))
    assert overall["pass_at_k"]["2"]["mean"] == pytest.approx((3 / 6 + 5 / 6) / 2)
    assert (first["majority_vote"]["mean"], second["majority_vote"]["mean"]) == (0, 1)
    assert (first["mean_length"], overall["mean_length"]) == (5, 3)
    assert (first["distinct_correct"], second["distinct_correct"], overall["distinct_correct"]) == (1, 2, 1.5)
    assert (overall["num_problems"], overall["num_samples"]) == (2, 4)
    # two problems: each of four equally likely draws of two
    assert (overall["majority_vote"]["low"], overall["majority_vote"]["high"]) == (0, 1)


def test_answers_of_equal_value_are_one() -> None:
    """Written in four ways, one half wins against a wrong answer that is written alike three times."""
    answers = [r"\frac{1}{2}", r"\dfrac12", "0.5", "1/2", "3", "3", "3", None]
    values = {r"\frac{1}{2}": 0.5, r"\dfrac12": 0.5, "0.5": 0.5, "1/2": 0.5, "3": 3.0}
    group = [sample(0, number, answer in answers[:4], answer) for number, answer in enumerate(answers)]
    assert majority_vote(group) == 0
    assert distinct_correct(group) == 4
    named = with_common_names(group, lambda first, second: values[first] == values[second])
    assert [one.answer for one in named] == [r"\frac{1}{2}"] * 4 + ["3"] * 3 + [None]
    assert majority_vote(named) == 1
    assert distinct_correct(named) == 1
    summary = summarize(group, [1], same=lambda first, second: values[first] == values[second])["overall"]
    assert (summary["majority_vote"]["mean"], summary["distinct_correct"]) == (1, 1)


def test_answers_without_names_have_no_majority() -> None:
    """Each text for an answer of its own, the vote would be Avg."""
    group = [sample(0, number, number < 3, None) for number in range(4)]
    summary = summarize(group, [1])
    assert summary["overall"]["majority_vote"] is None
    output = io.StringIO()
    console = Console(file=output, width=200)
    for table in (*summary_tables({"a": summary}), *summary_tables({"a": summary, "b": summary})):
        console.print(table)
    assert re.search(r"majority of 4 +- +answers have no names: answer_of\(\)", output.getvalue())
    named = summarize([*group, sample(1, 0, True, "x"), *(sample(1, number, False, None) for number in (1, 2, 3))], [1])
    assert named["overall"]["majority_vote"]["mean"] == 0.5


def test_majority_of_equally_frequent_answers_is_their_mean() -> None:
    assert majority_vote([sample(0, 0, True, "x"), sample(0, 1, False, "y"), sample(0, 2, False, None)]) == 0.5
    assert majority_vote([sample(0, 0, False, None)] * 3) == 0


def test_a_right_response_without_a_name_counts_by_its_text() -> None:
    assert distinct_correct([sample(0, 0, True, None), sample(0, 1, True, None), sample(0, 2, True, "x")]) == 2


def test_self_bleu() -> None:
    same, other = "one two three four five six", "a b c d e f"
    assert self_bleu([same] * 3) == pytest.approx(1)
    assert self_bleu([same, other]) == pytest.approx(0, abs=0.05)
    assert self_bleu([same]) is None
    assert self_bleu(["", ""]) == 0
    half = self_bleu([same, "one two three four five x"])
    assert half is not None
    # 5 of 6 words, 4 of 5 pairs, 3 of 4 triples, 2 of 3 quadruples, the same in both directions
    assert half == pytest.approx((5 / 6 * 4 / 5 * 3 / 4 * 2 / 3) ** 0.25)
