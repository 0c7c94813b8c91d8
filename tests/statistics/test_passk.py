# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Pass@k against exact fractions of binomial coefficients and against all subsets."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_resrl.statistics.passk import pass_at_k


@st.composite
def counts(draw):
    n = draw(st.integers(1, 2000))
    rows = draw(st.lists(st.integers(0, n), min_size=1, max_size=8))
    return n, rows, draw(st.integers(1, n))


@given(counts())
def test_equals_the_binomial_formula(case):
    n, correct, k = case
    exact = [float(1 - Fraction(math.comb(n - c, k), math.comb(n, k))) for c in correct]
    np.testing.assert_allclose(pass_at_k(n, correct, k), exact, rtol=1e-9, atol=1e-12)


def test_equals_the_share_of_subsets_with_a_correct_sample():
    n, c, k = 7, 2, 3
    subsets = list(itertools.combinations(range(n), k))
    share = sum(any(sample < c for sample in subset) for subset in subsets) / len(subsets)
    assert pass_at_k(n, [c], k)[0] == pytest.approx(share, abs=1e-15)


def test_number_of_samples_may_differ_by_problem():
    n, c, k = [4, 10, 64], [1, 3, 64], 4
    expected = [1 - math.comb(a - b, k) / math.comb(a, k) for a, b in zip(n, c, strict=True)]
    np.testing.assert_allclose(pass_at_k(n, c, k), expected, rtol=1e-12)


def test_ends_of_the_range():
    np.testing.assert_array_equal(pass_at_k(64, [0, 64], 1), [0.0, 1.0])
    np.testing.assert_array_equal(pass_at_k(64, [0, 1, 64], 64), [0.0, 1.0, 1.0])
    assert pass_at_k(10**6, [1], 10)[0] == pytest.approx(1e-5, rel=1e-9)
    assert pass_at_k(8, [], 4).shape == (0,)


@pytest.mark.parametrize(
    ("n", "c", "k", "message"),
    [
        (4, [1, 2], 5, "k=5 is larger than the number of samples"),
        ([8, 4], [1, 1], 5, r"problem 1: 4 samples"),
        (4, [0, 5], 2, r"more correct samples than samples \(problem 1: 4 samples, 5 correct\)"),
        (4, [-1], 2, "a negative number"),
        (4, [1], 0, "k=0 must be at least 1"),
        (4, [1.5], 2, "num_correct must be integers"),
    ],
)
def test_impossible_counts_are_refused(n, c, k, message):
    with pytest.raises(ValueError, match=message):
        pass_at_k(n, c, k)
