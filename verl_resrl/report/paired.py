# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Paired differences to a baseline: the same problems, the same seed, the last evaluated checkpoint."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from verl_resrl.report.tables import of_source
from verl_resrl.statistics.intervals import bootstrap_interval
from verl_resrl.statistics.passk import pass_at_k

RESAMPLES = 9999
BATCH = 500  # resamples at one time, for memory
RANDOM_STATE = 0


def paired_differences(
    final: pd.DataFrame, baseline: str, ks: Sequence[int], sources: Sequence[str]
) -> list[dict[str, Any]]:
    """Compare every method with the baseline at the last checkpoint of each run.

    A pair is a problem, under one seed of both methods; a problem's differences are averaged over the seeds. The test
    flips the signs of problems (permutation test for paired samples, two-sided), the interval resamples problems
    (percentile bootstrap). Both are about problems: the trained models are taken as given.

    Args:
        final: rows of ``tables.problem_table`` of each run's last checkpoint.
        baseline: name of a method.
        ks: of Pass@k; 1 is left out, as Pass@1 is Avg@n.
        sources: data sources, or "overall".

    Returns:
        Rows ``{"source", "method", "measure", "k", "difference", "low", "high", "p_value", "p_holm", "num_problems",
        "seeds": {seed: difference}}``. ``p_holm`` is corrected for the number of methods (Holm 1979). ``low`` and
        ``high`` are None with fewer than two problems.
    """
    rows = []
    for source in sources:
        measures = _measures(of_source(final, source), ks)
        for measure, (k, column) in measures.items():
            family = []
            for method in sorted(set(final["method"]) - {baseline}):
                row = _compare(column, method, baseline)
                if row is not None:
                    family.append({"source": source, "method": method, "measure": measure, "k": k} | row)
            for row, corrected in zip(family, holm([row["p_value"] for row in family]), strict=True):
                rows.append(row | {"p_holm": corrected})
    return rows


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number, step down (Holm, Scandinavian Journal of Statistics 6, 1979).

    Args:
        p_values: of one family of tests.
    """
    p = np.asarray(p_values, dtype=float)
    order = p.argsort(kind="stable")
    stepped = np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p))))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(stepped, 1.0)
    return corrected.tolist()


def _measures(final: pd.DataFrame, ks: Sequence[int]) -> dict[str, tuple[int | None, pd.Series]]:
    """By name: k and values indexed by (method, seed, problem)."""
    indexed = final.set_index(["method", "seed", "problem"])
    measures: dict[str, tuple[int | None, pd.Series]] = {
        "Avg@n": (None, indexed["num_correct"] / indexed["num_samples"])
    }
    for k in (k for k in ks if k > 1):
        values = pass_at_k(indexed["num_samples"].to_numpy(int), indexed["num_correct"].to_numpy(int), k)
        measures[f"Pass@{k}"] = (k, pd.Series(values, index=indexed.index))
    measures["mean length"] = (None, indexed["mean_length"])
    return measures


def _compare(values: pd.Series, method: str, baseline: str) -> dict[str, Any] | None:
    """Differences over the problems and seeds that both have; None where there are none."""
    if not {method, baseline} <= set(values.index.get_level_values("method")):
        return None
    pairs = (values[method] - values[baseline]).dropna().unstack("seed").sort_index().sort_index(axis=1)
    pairs = pairs.dropna()  # problems that every shared seed has
    if pairs.empty:
        return None
    differences = pairs.mean(axis=1).to_numpy(float)
    low, high = bootstrap_interval(differences).tolist() if len(differences) > 1 else (None, None)
    return {
        "difference": float(differences.mean()),
        "low": low,
        "high": high,
        "p_value": _p_value(differences),
        "num_problems": len(differences),
        "seeds": {int(seed): float(mean) for seed, mean in pairs.mean().items()},
    }


def _p_value(differences: NDArray[np.float64]) -> float:
    """Sign flips; all of them where they are few enough."""
    if len(differences) < 2:
        return 1.0  # both flips of a single problem are as far from zero
    test = stats.permutation_test(
        (differences,),
        np.mean,
        permutation_type="samples",
        n_resamples=RESAMPLES,
        batch=BATCH,
        rng=np.random.default_rng(RANDOM_STATE),
    )
    return float(test.pvalue)
