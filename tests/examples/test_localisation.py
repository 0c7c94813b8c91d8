# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Areas under the curve: by hand, and against the comparison of all pairs."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from localisation import Localisation, area_under_curve, localise, token_of_character


def test_by_hand() -> None:
    # first wrong tokens 0.9 and 0.5; others 0.1, 0.2, 0.8 and 0.5, 0.3
    result = localise([[0.1, 0.2, 0.9, 0.8], [0.5, 0.5, 0.3]], [2, 0])
    # 0.9 beats all five; 0.5 beats 0.1, 0.2, 0.3 and ties with 0.5
    assert result.first_auc == pytest.approx((5 + 3.5) / 10)
    # after: 0.8, 0.5, 0.3; before: 0.1, 0.2
    assert result.after_auc == 1.0
    assert result.num_responses == 2


def test_response_that_was_cut_off_before_it_went_wrong_is_left_out() -> None:
    assert localise([[0.1, 0.9, 0.3], [5.0, 6.0]], [1, 2]) == localise([[0.1, 0.9, 0.3]], [1])


def test_weights_that_know_nothing() -> None:
    result = localise([np.ones(9), np.ones(4)], [3, 2])
    assert result == Localisation(first_auc=0.5, after_auc=0.5, num_responses=2)


def test_nothing_to_compare_with_is_nan() -> None:
    result = localise([[0.3]], [0])
    assert math.isnan(result.first_auc)
    assert math.isnan(result.after_auc)


@pytest.mark.parametrize(
    ("weights", "first_wrong", "message"),
    [
        ([[1.0]], [2], r"first_wrong\[0\]=2 must be in \[0, 1\]"),
        ([[1.0], [1.0]], [0, -1], r"first_wrong\[1\]=-1"),
        ([[1.0, math.nan]], [0], "weights of response 0 must be"),
        ([[[1.0]]], [0], "weights of response 0 must be"),
        ([[1.0]], [1], "no response has its first wrong token"),
        ([], [], "no response has its first wrong token"),
    ],
)
def test_wrong_input_is_named(weights: list, first_wrong: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        localise(weights, first_wrong)


SCORES = st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), min_size=1, max_size=30)


@given(SCORES, SCORES)
def test_area_is_the_share_of_pairs_in_order(positive: list[float], negative: list[float]) -> None:
    pairs = [(p > n) + 0.5 * (p == n) for p, n in product(positive, negative)]
    assert area_under_curve(np.array(positive), np.array(negative)) == pytest.approx(np.mean(pairs), abs=1e-12)


@given(st.lists(st.text("ab", max_size=3), max_size=8), st.data())
def test_token_of_character(texts: list[str], data: st.DataObject) -> None:
    owner = [token for token, text in enumerate(texts) for _ in text]
    character = data.draw(st.integers(0, len(owner)))
    token = token_of_character(character, texts)
    assert token == (owner[character] if character < len(owner) else (owner[-1] + 1 if owner else 0))


def test_token_of_the_end_is_the_one_that_ends_the_response() -> None:
    assert token_of_character(3, ["a", "bc", ""]) == 2
    assert token_of_character(3, ["a", "bc"]) == 2


def test_character_beyond_the_text_is_named() -> None:
    with pytest.raises(ValueError, match=r"character 4 must be in \[0, 3\]"):
        token_of_character(4, ["a", "bc", ""])
