# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Differences, p-values and the comparison at matched Avg against cases worked by hand and other algorithms."""

import itertools
import json
import math
import random
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.report.report_runs import write_evaluation, write_run
from verl_resrl.report.comparison import compare_runs
from verl_resrl.report.displacement import lld_correlations
from verl_resrl.report.matched import _why_uncovered, coverage
from verl_resrl.report.paired import holm, paired_differences
from verl_resrl.report.run_folders import read_runs
from verl_resrl.report.training_charts import over_seeds
from verl_resrl.statistics.frontier import Path as CheckpointPath
from verl_resrl.statistics.frontier import match


def counts(method: str, seed: int, correct: list[int], n: int = 4) -> pd.DataFrame:
    """Rows of the table of problems."""
    problems = range(len(correct))
    columns = {"problem": problems, "num_correct": correct, "num_samples": n, "mean_length": 10.0}
    return pd.DataFrame(columns).assign(method=method, seed=seed, step=10, data_source="countdown", prompt="p")


def by_measure(rows: list[dict]) -> dict[tuple[str, str], dict]:
    return {(row["method"], row["measure"]): row for row in rows}


def test_paired_differences_worked_by_hand() -> None:
    table = pd.concat(
        [
            counts("grpo", 0, [0, 1, 2, 3]),
            counts("resrl", 0, [1, 2, 3, 4]),  # one more of four everywhere
            counts("grpo", 1, [0, 1, 2, 3]),
            counts("resrl", 1, [0, 1, 2, 3]),  # the same
            counts("resrl", 2, [4, 4, 4, 4]),  # a seed that grpo lacks
        ]
    )
    rows = by_measure(paired_differences(table, "grpo", [1, 2], ["overall"]))
    assert set(rows) == {("resrl", "Avg@n"), ("resrl", "Pass@2"), ("resrl", "mean length")}
    average = rows["resrl", "Avg@n"]
    assert average["seeds"] == {0: 0.25, 1: 0.0}
    assert average["difference"] == average["low"] == average["high"] == 0.125
    assert average["p_value"] == average["p_holm"] == 2 / 16  # all signs alike: 2 of 2^4 sign flips
    assert average["num_problems"] == 4
    # Pass@2 with 0, 1, 2, 3, 4 right of 4: 0, 1/2, 5/6, 1, 1; differences 1/2, 1/3, 1/6, 0, halved by the other seed
    assert rows["resrl", "Pass@2"]["difference"] == pytest.approx(0.125)
    assert rows["resrl", "Pass@2"]["p_value"] == 2 / 8
    assert rows["resrl", "mean length"]["p_value"] == 1.0


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=2, max_size=8))
def test_p_value_is_the_share_of_sign_flips_that_differ_as_much(pairs: list[tuple[int, int]]) -> None:
    table = pd.concat([counts("grpo", 0, [a for a, _ in pairs], 8), counts("nsr", 0, [b for _, b in pairs], 8)])
    row = by_measure(paired_differences(table, "grpo", [], ["overall"]))["nsr", "Avg@n"]
    differences = [b - a for a, b in pairs]  # eighths: sums are exact
    flipped = [
        sum(s * d for s, d in zip(signs, differences, strict=True))
        for signs in itertools.product((1, -1), repeat=len(differences))
    ]
    expected = min(1.0, 2 * np.mean([total >= abs(sum(differences)) for total in flipped]))
    assert row["p_value"] == pytest.approx(expected)
    assert row["difference"] == pytest.approx(sum(differences) / 8 / len(pairs))


def test_a_problem_counts_if_every_shared_seed_has_it() -> None:
    table = pd.concat(
        [
            counts("grpo", 0, [0, 0, 0]),
            counts("nsr", 0, [1, 2, 4]),
            counts("grpo", 1, [0, 0]),
            counts("nsr", 1, [3, 2]),
        ]
    )
    row = by_measure(paired_differences(table, "grpo", [], ["overall"]))["nsr", "Avg@n"]
    assert row["num_problems"] == 2
    assert row["seeds"] == {0: 0.375, 1: 0.625}
    assert row["difference"] == 0.5


def test_problems_are_selected_by_source() -> None:
    table = pd.concat([counts("grpo", 0, [0, 0, 0]), counts("nsr", 0, [4, 0, 0])])
    table["data_source"] = ["a", "b", "b"] * 2
    rows = {row["source"]: row for row in paired_differences(table, "grpo", [], ["overall", "a", "b"])[::2]}
    assert [rows[source]["difference"] for source in ("overall", "a", "b")] == pytest.approx([1 / 3, 1, 0])
    assert rows["a"]["low"] is None  # one problem: nothing to resample


def test_holm_worked_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.001, 1))
def test_holm_rejects_what_the_step_down_procedure_rejects(p_values: list[float], level: float) -> None:
    rejected = set()
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if p_values[index] * (len(p_values) - rank) > level:
            break
        rejected.add(index)
    assert {index for index, p in enumerate(holm(p_values)) if p <= level} == rejected or level == 1


def checkpoints(*points: tuple[float, float]) -> CheckpointPath:
    return CheckpointPath(np.array([x for x, _ in points]), np.array([[y] for _, y in points]))


def test_matched_average_worked_by_hand() -> None:
    baseline = checkpoints((0.2, 0.8), (0.4, 0.6))
    found = match(
        checkpoints((0.2, 0.8), (0.3, 0.8), (0.25, 0.1)), baseline
    )  # falls back at the end: first time counts
    assert found is not None
    assert (found.levels[0], found.levels[-1]) == (0.2, 0.3)
    # at Avg 0.2, 0.25, 0.3 the baseline has 0.8, 0.75, 0.7, the method 0.8
    assert np.interp([0.2, 0.25, 0.3], found.levels, found.difference[:, 0]) == pytest.approx([0, 0.05, 0.1])
    assert found.mean == pytest.approx([0.05])


@pytest.mark.parametrize("points", [[(0.5, 0.9), (0.6, 0.9)], [(0.4, 0.9), (0.6, 0.9)], [(0.3, 0.9)]])
def test_nothing_to_match(points: list[tuple[float, float]]) -> None:
    assert match(checkpoints(*points), checkpoints((0.2, 0.8), (0.4, 0.6))) is None


ascending = st.lists(st.integers(0, 1000), min_size=2, max_size=6, unique=True).map(sorted)


@given(ascending, ascending, st.randoms(use_true_random=False))
def test_matched_mean_is_the_area_between_the_paths(first: list[int], second: list[int], rng: random.Random) -> None:
    method = checkpoints(*((x / 1000, rng.random()) for x in first))
    baseline = checkpoints(*((x / 1000, rng.random()) for x in second))
    low, high = max(first[0], second[0]) / 1000, min(first[-1], second[-1]) / 1000
    found = match(method, baseline)
    if low >= high:
        assert found is None
        return
    assert found is not None
    knots = np.unique([low, high, *(x for x in np.array(first + second) / 1000 if low < x < high)])
    middle = (knots[1:] + knots[:-1]) / 2  # the midpoint rule is exact between the knots
    curves = [np.interp(middle, path.avg, path.passes[:, 0]) for path in (method, baseline)]
    assert found.mean[0] == pytest.approx(((curves[0] - curves[1]) * np.diff(knots)).sum() / (high - low))


def test_seeds_that_only_lost_are_not_hidden(tmp_path: Path) -> None:
    """A method that falls in Avg and Pass@k shares no Avg with a baseline that rises."""
    for method, seed, correct in (("grpo", 0, (1, 3)), ("nsr", 0, (1, 2)), ("grpo", 1, (2, 3)), ("nsr", 1, (2, 1))):
        run = write_run(tmp_path / f"{method}{seed}", method, seed)
        for step, right in enumerate(correct):
            write_evaluation(run, step, [right] * 3, 4, [1, 2])
    runs = read_runs(sorted(tmp_path.iterdir()))
    rows = compare_runs(runs, "grpo", lambda done, total, what: None).numbers["matched_differences"]
    row = next(row for row in rows if row["k"] == 2)
    assert list(row["seeds"]) == ["0"]
    assert row["uncovered_seeds"] == {"1": "lower"}
    assert coverage(row, "grpo") == "1 of 2 seeds: Avg only below grpo's"
    row["uncovered_seeds"] = {}
    assert coverage(row, "grpo") == ""

    shutil.rmtree(tmp_path / "grpo0")
    rows = compare_runs(read_runs(sorted(tmp_path.iterdir())), "grpo", lambda *_: None).numbers["matched_differences"]
    row = next(row for row in rows if row["k"] == 2)
    assert row["uncovered_seeds"] == {"0": "no baseline", "1": "lower"}
    assert "1 of 2 seeds: no run of grpo" in coverage(row, "grpo")


@pytest.mark.parametrize(
    ("method", "baseline", "why"),
    [
        ([(0.4, 0.9), (0.6, 0.9)], [(0.2, 0.8), (0.4, 0.6)], "higher"),
        ([(0.1, 0.9), (0.2, 0.9)], [(0.2, 0.8), (0.4, 0.6)], "lower"),
        ([(0.3, 0.9)], [(0.2, 0.8), (0.4, 0.6)], "single"),
    ],
)
def test_why_a_seed_is_not_covered(
    method: list[tuple[float, float]], baseline: list[tuple[float, float]], why: str
) -> None:
    assert _why_uncovered(checkpoints(*method), checkpoints(*baseline)) == why


@pytest.fixture(scope="module")
def small_study(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("small_study")
    folders = []
    for index, method in enumerate(("grpo", "nsr", "resrl")):
        for seed in (0, 1):
            run = write_run(root / f"{method}{seed}", method, seed, {1: {"critic/score/mean": seed + index / 10}})
            write_evaluation(run, 0, [0, 1, 2, 1, 0, 2], 4, [1, 2, 4])
            write_evaluation(run, 5, [seed, 1, 3, 2 + index, index, 2], 4, [1, 2, 4])
            folders.append(run)
    return folders


@cache
def numbers_of(folders: tuple[Path, ...]) -> str:
    found = compare_runs(read_runs(folders), "grpo", lambda done, total, what: None).numbers
    return json.dumps({name: value for name, value in found.items() if name != "date"})


@hypothesis_settings(max_examples=4)
@given(order=st.permutations(range(6)))
def test_the_order_of_the_folders_does_not_matter(small_study: list[Path], order: list[int]) -> None:
    assert numbers_of(tuple(small_study[index] for index in order)) == numbers_of(tuple(small_study))


def test_matched_difference_is_the_mean_over_seeds(small_study: list[Path]) -> None:
    rows = compare_runs(read_runs(small_study), "grpo", lambda done, total, what: None).numbers["matched_differences"]
    row = next(row for row in rows if row["method"] == "resrl" and row["k"] == 4)
    assert set(row["seeds"]) == {"0", "1"}
    assert row["difference"] == pytest.approx(np.mean([part["difference"] for part in row["seeds"].values()]))
    assert row["low"] is None  # six problems: many draws have no common Avg


def test_matched_interval_is_a_point_where_all_problems_are_alike(tmp_path: Path) -> None:
    # of four: Pass@2 of 1, 2, 3 right is 1/2, 5/6, 1
    for method, correct in (("grpo", [1, 3]), ("nsr", [1, 2, 3])):
        run = write_run(tmp_path / method, method, 0)
        for step, right in enumerate(correct):
            write_evaluation(run, step, [right] * 3, 4, [1, 2])
    runs = read_runs([tmp_path / "grpo", tmp_path / "nsr"])
    rows = compare_runs(runs, "grpo", lambda done, total, what: None).numbers["matched_differences"]
    row = next(row for row in rows if row["k"] == 2)
    # over Avg 1/4 to 3/4 a triangle with the height 5/6 - (1/2 + 1) / 2: its mean is half of that
    assert [row["difference"], row["low"], row["high"]] == pytest.approx([1 / 24] * 3)
    assert row["seeds"]["0"]["largest"] == pytest.approx(1 / 12)


def training(values: dict[tuple[str, int, int, str], float]) -> pd.DataFrame:
    rows = [(*where, value) for where, value in values.items()]
    return pd.DataFrame(rows, columns=["method", "seed", "step", "metric", "value"])


def test_bands_over_seeds() -> None:
    table = training({("grpo", s, t, "x"): 10 * s + t for s in (0, 1, 2) for t in (1, 2, 3) if (s, t) != (2, 3)})
    raw, smooth = over_seeds(table, "x", 1)["grpo"], over_seeds(table, "x", 2)["grpo"]
    assert raw.loc[1].tolist() == [11, 1, 21]
    assert raw.loc[3].tolist() == [8, 3, 13]  # the third seed did not get there
    assert smooth.loc[2].tolist() == [11.5, 1.5, 21.5]


def test_rank_correlation_of_the_proxy() -> None:
    proxy, measured, within = [1.0, 2.0, 3.0, 4.0], [9.0, 8.0, 6.0, 7.0], [-0.5, -0.1, 0.0, 0.2]
    predicted = [-1.0, -1.0, -3.0, -2.0]
    values = {}
    for step in range(4):
        values |= {("resrl", 0, step, "resrl/lld_proxy"): proxy[step]}
        values |= {("resrl", 0, step, "resrl/lld_measured"): measured[step]}
        values |= {("resrl", 0, step, "resrl/lld_rank_correlation"): within[step]}
        values |= {("resrl", 0, step, "resrl/lld_predicted"): predicted[step]}
        if step > 1:
            values |= {("resrl", 0, step, "resrl/lld_rank_correlation_interference"): step / 10}
    row = {"method": "resrl", "seed": 0, "num_steps": 4, "measured": 7.5, "predicted": -1.75}
    # ranks 1 2 3 4 against 4 3 1 2: squared differences 9 + 1 + 4 + 4; 1 - 6 * 18 / (4 * 15); a drop is a change < 0
    (found,) = lld_correlations(training(values))
    row |= {"over_steps": pytest.approx(0.8), "within_steps": pytest.approx(-0.1)}
    # ranks 3.5 3.5 1 2 against 4 3 1 2: covariance 4.5, variances 4.5 and 5
    row |= {"predicted_over_steps": pytest.approx(4.5 / math.sqrt(4.5 * 5))}
    assert found == row | {"interference_within_steps": pytest.approx(0.25)}
    assert lld_correlations(training({("grpo", 0, 1, "resrl/lld_proxy"): 1.0})) == []
