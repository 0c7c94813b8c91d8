# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Responses that a judge gave up, in a batch as verl's agent loops leave it."""

from typing import Any

import pytest
import torch
from verl.utils.tensordict_utils import list_of_dict_to_tensordict

from verl_resrl.algorithm.exchange import Exchange
from verl_resrl.integration.failed_rewards import given_up


@pytest.mark.parametrize(
    ("infos", "count"),
    [
        ([{"gave_up": 1.0}, {"gave_up": 0.0}, {"gave_up": 1.0}], 2),
        ([{"acc": 1.0}, {"acc": 0.0}], 0),
        ([None, {"gave_up": True}], 1),
    ],
)
def test_given_up_responses_are_counted(infos: list[Any], count: int) -> None:
    rows = [{"x": torch.ones(2), "extra_fields": {"reward_extra_info": info}} for info in infos]
    padding = torch.tensor([False] * len(rows) + [True] * 2)
    batch = list_of_dict_to_tensordict([*rows, rows[0], rows[-1]])  # verl's padding copies other rows
    assert given_up(batch, padding, Exchange()) == count


def test_a_batch_without_them_has_none() -> None:
    assert given_up(list_of_dict_to_tensordict([{"x": torch.ones(2)}]), torch.tensor([False]), Exchange()) == 0
