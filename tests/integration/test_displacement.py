# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Measures of displacement are of right responses, whatever the sign of their advantages; numbers by hand."""

import pytest
import torch
from tensordict import TensorDict
from torch import Tensor

from verl_resrl.algorithm.exchange import Exchange
from verl_resrl.integration.advantages import predicted_displacement
from verl_resrl.integration.positive_shift import PositiveShift


def jagged(*rows: list[float]) -> Tensor:
    return torch.nested.as_nested_tensor([torch.tensor(row) for row in rows], layout=torch.jagged)


# right with a low reward and a negative advantage; wrong with partial credit and a positive one; right; wrong
DATA = TensorDict(
    {
        "prompts": jagged([1.0, 1.0], [1.0], [1.0, 1.0], [1.0]),
        "response_mask": jagged([1.0, 0.0, 1.0], [1.0, 1.0], [1.0], [1.0]),
        "rm_scores": jagged([0.0, 0.0, 0.7], [0.0, 0.1], [1.0], [0.0]),
        "old_log_probs": jagged([-1.0, -9.0, -2.0], [-3.0, -3.0], [-1.0], [-1.0]),
        "advantages": jagged([-0.5, 0.0, -0.5], [0.25, 0.25], [2.0], [-1.0]),
        "resrl_weights": jagged([1.0, 1.0, 1.0], [0.5, 1.0], [1.0], [0.25]),
        "resrl_interference": jagged([4.0, torch.nan, 3.0], [2.0, -1.0], [5.0], [8.0]),
    },
    batch_size=[4],
)
THRESHOLD = 0.5


def test_the_shift_is_that_of_right_responses() -> None:
    # a value for a token stands one before it, beside those of the prompt and a last one
    log_probs = jagged([0.0, -0.5, 0.0, -1.0, 0.0], [-7.0, -7.0, 0.0], [0.0, -1.25, 0.0], [-7.0, 0.0])
    shift = PositiveShift(THRESHOLD)
    shift.add(log_probs, DATA)
    assert shift.mean(Exchange()) == pytest.approx((0.5 + 1.0 - 0.25) / 3)
    assert PositiveShift(THRESHOLD).mean(Exchange()) is None


def test_the_prediction_is_of_what_is_done_to_wrong_responses() -> None:
    pushes = 0.25 * 0.5 * 2.0 + 0.25 * 1.0 * -1.0 + -1.0 * 0.25 * 8.0
    assert predicted_displacement(DATA, THRESHOLD, Exchange()) == pytest.approx(pushes / 3)
