# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""How sure a difference at the same Avg is: bootstrap intervals over problems."""

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from verl_resrl.statistics.frontier import Path, match
from verl_resrl.statistics.passk import pass_at_k

RESAMPLES = 999
CONFIDENCE = 0.95
UNDEFINED = 0.05  # at most this share of draws may have no common Avg; they are left out
RANDOM_STATE = 0


def intervals(
    problems: pd.DataFrame,
    method: str,
    baseline: str,
    seeds: Sequence[int],
    ks: Sequence[int],
    of_runs: Mapping[tuple[str, int], Path],
) -> list[tuple[float | None, float | None]]:
    """Bound the mean difference at the same Avg; the same problems are drawn for every checkpoint of both methods.

    Args:
        problems: of ``tables.problem_table``, of one source.
        method: name.
        baseline: name.
        seeds: in which both methods have a range of Avg in common.
        ks: of Pass@k.
        of_runs: paths by (method, seed).

    Returns:
        (low, high) for each k; None where samples are missing or too many draws have no common Avg.
    """
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
