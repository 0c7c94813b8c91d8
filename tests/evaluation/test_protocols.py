# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Protocols of the benchmarks, and the rating from solved problems."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from verl.utils.import_utils import load_extern_object

from verl_resrl.tasks.benchmarks import BENCHMARKS, Benchmark, codeforces_rating


@pytest.mark.parametrize("benchmark", BENCHMARKS.values(), ids=lambda benchmark: benchmark.name)
def test_protocol_is_the_papers(benchmark: Benchmark) -> None:
    assert benchmark.averaged == 16
    assert benchmark.samples == max(benchmark.ks) == (128 if benchmark.domain == "math" else 16)
    assert benchmark.temperature == 0.6
    assert callable(load_extern_object(benchmark.reward, "compute_score"))


def test_benchmarks_are_those_of_the_paper() -> None:
    assert set(BENCHMARKS) == {
        *("aime24", "aime25", "amc23", "math500", "minerva", "olympiadbench"),
        *("livecodebench", "codeforces", "humaneval-plus"),
    }


def test_rating_by_hand() -> None:
    assert codeforces_rating([1500], [0.5]) == pytest.approx(1500)
    assert codeforces_rating([1500], [10 / 11]) == pytest.approx(1900)  # odds of 10 are 400 points
    assert codeforces_rating([1000, 2000], [1, 0]) == pytest.approx(1500)
    assert codeforces_rating([1500, 1700], [0, 0]) == 0
    assert codeforces_rating([1500, 1700], [1, 1]) == 4000


@given(st.lists(st.tuples(st.integers(800, 3500), st.integers(0, 16)), min_size=1, max_size=12))
def test_no_other_rating_is_likelier(problems: list[tuple[int, int]]) -> None:
    difficulty, solved = np.array(problems, dtype=float).T

    def log_likelihood(rating: np.ndarray) -> np.ndarray:
        log_odds = (rating[:, None] - difficulty) * np.log(10) / 400
        right, wrong = -np.logaddexp(0, -log_odds), -np.logaddexp(0, log_odds)
        return (solved * right + (16 - solved) * wrong).sum(axis=1)

    best = codeforces_rating(difficulty, solved / 16)
    assert log_likelihood(np.array([best]))[0] >= log_likelihood(np.linspace(0, 4000, 2001)).max() - 1e-6


@pytest.mark.parametrize(
    ("ratings", "solved", "named"),
    [
        ([], [], "do not fit"),
        ([1500], [0.5, 1], "do not fit"),
        ([1500], [1.5], r"in \[0, 1\]"),
        ([np.nan], [1], "finite"),
    ],
)
def test_rating_of_nonsense(ratings: list[float], solved: list[float], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        codeforces_rating(ratings, solved)
