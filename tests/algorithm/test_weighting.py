# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Quantiles of groups and the map from residuals to weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.algorithm.weight_inputs import limits
from verl_resrl import ResRLConfig
from verl_resrl.algorithm.quantiles import grouped_quantiles
from verl_resrl.algorithm.weighting import residual_to_weight

SCORES = st.floats(min_value=-(2.0**60), max_value=2.0**60, width=32)


@given(
    st.lists(st.tuples(st.integers(min_value=0, max_value=4), SCORES), max_size=40),
    st.lists(st.floats(min_value=0, max_value=1), min_size=1, max_size=3),
)
def test_grouped_quantiles_are_numpys(elements: list[tuple[int, float]], quantiles: list[float]) -> None:
    group = torch.tensor([g for g, _ in elements], dtype=torch.int64)
    values = torch.tensor([v for _, v in elements], dtype=torch.float32)
    result = grouped_quantiles(values, group, 6, tuple(quantiles))
    assert result.shape == (6, len(quantiles))
    for g in range(6):
        of_group = values[group == g].double().numpy()
        expected = np.quantile(of_group, quantiles) if len(of_group) else np.full(len(quantiles), np.nan)
        np.testing.assert_allclose(result[g].numpy(), expected, rtol=1e-12)


def test_residual_to_weight_by_hand() -> None:
    # quantiles 0.25 and 0.75 of 0..4 are 1 and 3; of 10, 30 they are 15 and 25
    e = torch.tensor([4.0, 30.0, 0.0, 2.0, 1.0, 10.0, 3.0])
    group = torch.tensor([0, 1, 0, 0, 0, 1, 0])
    config = ResRLConfig(q_low=0.25, q_high=0.75, xi=0.2)
    expected = torch.tensor([1.0, 1.0, 0.2, 0.6, 0.2, 0.2, 1.0])
    torch.testing.assert_close(residual_to_weight(e, group, limits(e, group, 2, config), config), expected)


def test_most_interference_gets_the_least_penalty() -> None:
    # quantiles 0.25 and 0.75 of -2..2 are -1 and 1
    score = torch.tensor([-2.0, 2.0, 0.0, 1.0, -1.0])
    group = torch.zeros(5, dtype=torch.int64)
    config = ResRLConfig(q_low=0.25, q_high=0.75, xi=0.2, weighting="interference")
    result = residual_to_weight(score, group, limits(score, group, 1, config), config)
    torch.testing.assert_close(result, torch.tensor([1.0, 0.2, 0.6, 0.2, 1.0]))
    reverse = replace(config, weighting="interference_reversed")
    result = residual_to_weight(score, group, limits(score, group, 1, reverse), reverse)
    torch.testing.assert_close(result, torch.tensor([0.2, 1.0, 0.6, 1.0, 0.2]))


@pytest.mark.parametrize("scale", [1.0, -1.0, 1e-9, 1e9])
def test_degenerate_spread_is_relative(scale: float) -> None:
    config = ResRLConfig(q_low=0.0, q_high=1.0, xi=0.1)
    group = torch.zeros(3, dtype=torch.int64)
    narrow = scale * torch.tensor([1 - 0.9e-4, 1 - 0.5e-4, 1.0])
    wide = scale * torch.tensor([1 - 1.2e-4, 1 - 0.6e-4, 1.0])
    if scale < 0:
        narrow, wide = narrow.flip(0), wide.flip(0)
    torch.testing.assert_close(
        residual_to_weight(narrow, group, limits(narrow, group, 1, config), config), torch.full((3,), 0.55)
    )
    expected = torch.tensor([0.1, 0.55, 1.0])
    torch.testing.assert_close(
        residual_to_weight(wide, group, limits(wide, group, 1, config), config), expected, rtol=0, atol=1e-3
    )
    assert residual_to_weight(torch.zeros(3), group, torch.zeros(1, 2).double(), config).tolist() == pytest.approx(
        [0.55] * 3
    )
