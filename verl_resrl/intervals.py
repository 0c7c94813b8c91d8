# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Bootstrap confidence intervals of means over problems (percentile method; Efron and Tibshirani, 1993, chapter 13)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 10_000
RESAMPLES_AT_A_TIME = 1000  # bounds the memory to so many counts a problem
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
    count = len(table)
    if not count:
        raise ValueError("bootstrap: there are no problems")
    rng = np.random.default_rng(seed)
    share = np.full(count, 1 / count)
    means = []
    for start in range(0, resamples, RESAMPLES_AT_A_TIME):
        # how often each problem is drawn, which is all that a mean needs to know
        drawn = rng.multinomial(count, share, size=min(RESAMPLES_AT_A_TIME, resamples - start))
        means.append(drawn @ table / count)
    tail = (1 - confidence) / 2
    return np.quantile(np.concatenate(means), [tail, 1 - tail], axis=0)
