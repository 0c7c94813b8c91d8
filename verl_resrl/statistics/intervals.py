# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Bootstrap confidence intervals of means over problems (percentile method; Efron and Tibshirani, 1993, chapter 13)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

RESAMPLES = 10_000
BATCH = 100  # resamples at one time, for memory
CONFIDENCE = 0.95


def bootstrap_interval(
    values: ArrayLike, confidence: float = CONFIDENCE, resamples: int = RESAMPLES, seed: int = 0
) -> NDArray[np.float64]:
    """Bound the mean over problems, by drawing as many problems as there are with replacement, many times.

    Problems are what is drawn at random from a population; the responses to one problem are not independent of each
    other, so they stay together.

    Args:
        values: (num_problems,) or (num_problems, num_figures) numbers; all figures use the same draws.
        confidence: of the interval.
        resamples: number of draws.
        seed: of the draws.

    Returns:
        (2,) or (2, num_figures) float64: lower and upper end.

    Raises:
        ValueError: no problems.
    """
    table = np.asarray(values, dtype=np.float64)
    if not len(table):
        raise ValueError("bootstrap: there are no problems")
    if len(table) == 1:
        return np.stack([table[0], table[0]])
    found = stats.bootstrap(
        (table,),
        np.mean,
        confidence_level=confidence,
        method="percentile",
        n_resamples=resamples,
        batch=BATCH,
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return np.stack([found.low, found.high])
