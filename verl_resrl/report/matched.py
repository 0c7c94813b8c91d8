# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Pass@k at matched Avg: does a method lie outside the path that the baseline takes through its checkpoints?

A run's checkpoints are points (Avg@n, Pass@k), joined by straight lines in the order of training. Where a run passes an
Avg several times, the first time counts: that is where somebody who wanted this Avg would have stopped.
"""

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from verl_resrl.report.tables import of_source
from verl_resrl.statistics.passk import pass_at_k

LEVELS = 21  # evenly spaced Avg, beside those of the checkpoints
RESAMPLES = 999
CONFIDENCE = 0.95
UNDEFINED = 0.05  # at most this share of draws may have no common Avg; they are left out
RANDOM_STATE = 0


@dataclass(frozen=True)
class Path:
    """The checkpoints of one run, in the order of training.

    Attributes:
        avg: (num_checkpoints,) Avg@n.
        passes: (num_checkpoints, num_ks) Pass@k.
    """

    avg: NDArray[np.float64]
    passes: NDArray[np.float64]

    def at(self, levels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Interpolate Pass@k where the path first reaches a level.

        Args:
            levels: (num_levels,) values of Avg within the path's range.

        Returns:
            (num_levels, num_ks) Pass@k.
        """
        start, end = self.avg[:-1, None], self.avg[1:, None]
        between = (start - levels) * (end - levels) <= 0
        first = between.argmax(axis=0)
        step = self.avg[first + 1] - self.avg[first]
        share = np.where(step == 0, 0.0, (levels - self.avg[first]) / np.where(step == 0, 1.0, step))[:, None]
        return (1 - share) * self.passes[first] + share * self.passes[first + 1]


@dataclass(frozen=True)
class Match:
    """Two runs over the range of Avg that both cover.

    Attributes:
        levels: (num_levels,) ascending Avg.
        difference: (num_levels, num_ks) Pass@k of the method minus that of the baseline.
    """

    levels: NDArray[np.float64]
    difference: NDArray[np.float64]

    @property
    def mean(self) -> NDArray[np.float64]:
        """(num_ks,) mean difference over the range: the area between the paths, divided by its width."""
        return np.trapezoid(self.difference, self.levels, axis=0) / (self.levels[-1] - self.levels[0])


def match(method: Path, baseline: Path) -> Match | None:
    """Compare two paths where both are defined; None where their ranges of Avg share no more than a point."""
    low = max(method.avg.min(), baseline.avg.min())
    high = min(method.avg.max(), baseline.avg.max())
    if min(len(method.avg), len(baseline.avg)) < 2 or low >= high:
        return None
    knots = np.concatenate([method.avg, baseline.avg])
    knots = knots[(knots > low) & (knots < high)]
    levels = np.unique(np.concatenate([np.linspace(low, high, LEVELS), knots]))
    return Match(levels, method.at(levels) - baseline.at(levels))


def paths(
    evaluations: pd.DataFrame, passes: pd.DataFrame, ks: Sequence[int], source: str
) -> dict[tuple[str, int], Path]:
    """Collect the paths of all runs.

    Args:
        evaluations: of ``tables.evaluation_table``.
        passes: of ``tables.pass_table``.
        ks: of Pass@k.
        source: a data source, or "overall".

    Returns:
        By (method, seed).
    """
    table = passes[passes["source"] == source].pivot(index=["method", "seed", "step"], columns="k", values="mean")
    avg = evaluations[evaluations["source"] == source].set_index(["method", "seed", "step"])["avg"]
    found = {}
    for (method, seed), part in table.sort_index().groupby(level=["method", "seed"]):
        found[str(method), int(seed)] = Path(avg.loc[part.index].to_numpy(float), part[list(ks)].to_numpy(float))
    return found


def matched_differences(
    evaluations: pd.DataFrame,
    passes: pd.DataFrame,
    problems: pd.DataFrame,
    baseline: str,
    ks: Sequence[int],
    sources: Sequence[str],
) -> list[dict[str, Any]]:
    """Compare every method with the baseline at the same Avg, seed by seed.

    Args:
        evaluations: of ``tables.evaluation_table``.
        passes: of ``tables.pass_table``.
        problems: of ``tables.problem_table``; it gives the intervals.
        baseline: name of a method.
        ks: of Pass@k.
        sources: data sources, or "overall".

    Returns:
        Rows ``{"source", "method", "k", "difference", "low", "high", "seeds": {seed: {"avg_low", "avg_high",
        "difference", "smallest", "largest", "at_highest_avg"}}, "uncovered_seeds": {seed: why}}``. ``difference`` is
        the mean over the covered seeds of the mean over the Avg that both runs cover; ``low`` and ``high`` bound a 95%
        bootstrap interval over problems, None where samples are missing or too many draws have no common Avg. Why a
        seed is not covered: the method's Avg is "lower" or "higher" than all of the baseline's, or a run has a
        "single" checkpoint.
    """
    rows = []
    for source in sources:
        of_runs = paths(evaluations, passes, ks, source)
        for method in sorted({name for name, _ in of_runs} - {baseline}):
            seeds = [seed for name, seed in of_runs if name == method and (baseline, seed) in of_runs]
            matches = {seed: match(of_runs[method, seed], of_runs[baseline, seed]) for seed in seeds}
            covered = {seed: found for seed, found in matches.items() if found is not None}
            missing = {
                seed: _why_uncovered(of_runs[method, seed], of_runs[baseline, seed])
                for seed in seeds
                if seed not in covered
            }
            intervals = _intervals(of_source(problems, source), method, baseline, list(covered), ks, of_runs)
            for column, k in enumerate(ks):
                low, high = intervals[column]
                rows.append(
                    {"source": source, "method": method, "k": k}
                    | {"difference": float(np.mean([m.mean[column] for m in covered.values()])) if covered else None}
                    | {"low": low, "high": high}
                    | {"seeds": {seed: _of_seed(found, column) for seed, found in covered.items()}}
                    | {"uncovered_seeds": missing}
                )
    return rows


def coverage(row: Mapping[str, Any], baseline: str) -> str:
    """Say in how many seeds a method could not be compared, and why; nothing if it could in all.

    A mean over covered seeds alone flatters a method that lost Avg in the others.

    Args:
        row: of ``matched_differences``.
        baseline: its name.
    """
    missing = Counter(row["uncovered_seeds"].values())
    if not missing:
        return ""
    why = {
        "lower": f"Avg only below {baseline}'s",
        "higher": f"Avg only above {baseline}'s",
        "single": "a single checkpoint",
    }
    total = len(row["seeds"]) + missing.total()
    return "; ".join(f"{count} of {total} seeds: {why[reason]}" for reason, count in sorted(missing.items()))


def _why_uncovered(method: Path, baseline: Path) -> str:
    if min(len(method.avg), len(baseline.avg)) < 2:
        return "single"
    return "lower" if method.avg.max() <= baseline.avg.min() else "higher"


def _of_seed(found: Match, column: int) -> dict[str, float]:
    difference = found.difference[:, column]
    return {
        "avg_low": float(found.levels[0]),
        "avg_high": float(found.levels[-1]),
        "difference": float(found.mean[column]),
        "smallest": float(difference.min()),
        "largest": float(difference.max()),
        "at_highest_avg": float(difference[-1]),
    }


def _intervals(
    problems: pd.DataFrame,
    method: str,
    baseline: str,
    seeds: Sequence[int],
    ks: Sequence[int],
    of_runs: dict[tuple[str, int], Path],
) -> list[tuple[float | None, float | None]]:
    """A bootstrap interval for each k; the same problems are drawn for every checkpoint of both methods."""
    unknown: list[tuple[float | None, float | None]] = [(None, None)] * len(ks)
    runs = [(name, seed) for name in (method, baseline) for seed in seeds]
    values = {run: _by_problem(problems, *run, ks) for run in runs}
    complete = all(len(v) == len(of_runs[run].avg) for run, v in values.items())
    num_problems = {v.shape[1] for v in values.values()}
    if not seeds or not complete or len(num_problems) != 1 or num_problems == {1}:
        return unknown

    def statistic(drawn: NDArray[np.int64]) -> NDArray[np.float64]:
        means = {run: v[:, drawn].mean(axis=1) for run, v in values.items()}
        drawn_paths = {run: Path(mean[:, 0], mean[:, 1:]) for run, mean in means.items()}
        found = [match(drawn_paths[method, seed], drawn_paths[baseline, seed]) for seed in seeds]
        return np.mean([np.full(len(ks), np.nan) if m is None else m.mean for m in found], axis=0)

    with warnings.catch_warnings():
        # of NaN among the draws, which is dealt with below
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        draws = stats.bootstrap(
            (np.arange(num_problems.pop()),),
            statistic,
            vectorized=False,
            method="percentile",
            n_resamples=RESAMPLES,
            rng=np.random.default_rng(RANDOM_STATE),
        ).bootstrap_distribution
    draws = np.reshape(draws, (len(ks), RESAMPLES))
    defined = draws[:, np.isfinite(draws).all(axis=0)]
    if defined.shape[1] < (1 - UNDEFINED) * RESAMPLES:
        return unknown
    low, high = np.percentile(defined, [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)], axis=1)
    return list(zip(low.tolist(), high.tolist(), strict=True))


def _by_problem(problems: pd.DataFrame, method: str, seed: int, ks: Sequence[int]) -> NDArray[np.float64]:
    """(num_checkpoints, num_problems, 1 + num_ks): Avg@n and Pass@k of each problem.

    Without checkpoints where these were not all evaluated on the same problems.
    """
    run = problems[(problems["method"] == method) & (problems["seed"] == seed)].sort_values(["step", "problem"])
    asked = run.groupby("step")["problem"].agg(tuple)
    if asked.nunique() != 1:
        return np.empty((0, 0, 1 + len(ks)))
    total, correct = run["num_samples"].to_numpy(int), run["num_correct"].to_numpy(int)
    columns = [correct / total, *(pass_at_k(total, correct, k) for k in ks)]
    return np.stack(columns, axis=-1).reshape(len(asked), -1, len(columns))
