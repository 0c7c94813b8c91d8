# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Bootstrap intervals against the distribution that resampling has in theory."""

from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_resrl.statistics.intervals import bootstrap_interval


def binomial_quantile(n: int, p: Fraction, tail: Fraction) -> int:
    """Smallest x with P(X <= x) >= tail."""
    total = Fraction(0)
    for x in range(n + 1):
        total += comb(n, x) * p**x * (1 - p) ** (n - x)
        if total >= tail:
            return x
    raise AssertionError("probabilities must sum to 1")


@pytest.mark.parametrize(("problems", "right"), [(20, 7), (50, 10), (13, 12)])
def test_of_yes_and_no_it_is_the_binomials(problems, right):
    values = [1.0] * right + [0.0] * (problems - right)
    p = Fraction(right, problems)
    expected = [binomial_quantile(problems, p, tail) for tail in (Fraction(1, 40), Fraction(39, 40))]
    np.testing.assert_allclose(bootstrap_interval(values) * problems, expected, atol=1e-9)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.integers(0, 5))
def test_it_holds_the_mean_and_stays_in_the_range(values, seed):
    low, high = bootstrap_interval(values, resamples=200, seed=seed)
    assert min(values) - 1e-9 <= low <= high <= max(values) + 1e-9
    assert bootstrap_interval(values, resamples=200, seed=seed) == pytest.approx([low, high], abs=0)


def test_figures_share_the_draws():
    values = np.random.default_rng(0).random(30)
    low, high = bootstrap_interval(np.stack([values, 2 * values, np.ones(30)], axis=1))
    assert low[1] == pytest.approx(2 * low[0], rel=1e-12)
    assert (low[2], high[2]) == pytest.approx((1, 1))


def test_a_wider_confidence_is_a_wider_interval():
    values = np.random.default_rng(0).random(30)
    narrow, wide = bootstrap_interval(values, 0.5), bootstrap_interval(values, 0.99)
    assert wide[0] < narrow[0] < values.mean() < narrow[1] < wide[1]


def test_no_problems_are_refused():
    with pytest.raises(ValueError, match="there are no problems"):
        bootstrap_interval([])
