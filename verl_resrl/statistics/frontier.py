# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The path that a run takes through (Avg@n, Pass@k), and two paths at the same Avg.

A run's checkpoints are points, joined by straight lines in the order of training. Where a run passes an Avg several
times, the first time counts: that is where somebody who wanted this Avg would have stopped.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEVELS = 21  # evenly spaced Avg, beside those of the checkpoints


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
