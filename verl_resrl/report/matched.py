# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Pass@k at matched Avg: does a method lie outside the path that the baseline takes through its checkpoints?"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from verl_resrl.report.matched_intervals import intervals
from verl_resrl.report.tables import of_source
from verl_resrl.statistics.frontier import Match, Path, match


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
        seed is not covered: the method's Avg is "lower" or "higher" than all of the baseline's, a run has a "single"
        checkpoint, or there is "no baseline" of this seed.
    """
    rows = []
    for source in sources:
        of_runs = paths(evaluations, passes, ks, source)
        for method in sorted({name for name, _ in of_runs} - {baseline}):
            seeds = [seed for name, seed in of_runs if name == method]
            matches = {
                seed: match(of_runs[method, seed], of_runs[baseline, seed])
                for seed in seeds
                if (baseline, seed) in of_runs
            }
            covered = {seed: found for seed, found in matches.items() if found is not None}
            missing = {
                seed: _why_uncovered(of_runs[method, seed], of_runs.get((baseline, seed)))
                for seed in seeds
                if seed not in covered
            }
            bounds = intervals(of_source(problems, source), method, baseline, list(covered), ks, of_runs)
            for column, k in enumerate(ks):
                low, high = bounds[column]
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
        "no baseline": f"no run of {baseline}",
    }
    total = len(row["seeds"]) + missing.total()
    return "; ".join(f"{count} of {total} seeds: {why[reason]}" for reason, count in sorted(missing.items()))


def _why_uncovered(method: Path, baseline: Path | None) -> str:
    if baseline is None:
        return "no baseline"
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
