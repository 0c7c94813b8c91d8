# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Responses that a judge gave up, in a batch as verl's agent loops leave it."""

from typing import Any

import pytest
import torch
from verl.utils.tensordict_utils import list_of_dict_to_tensordict

from verl_resrl.algorithm.exchange import Exchange
from verl_resrl.integration.batch import Batch
from verl_resrl.integration.failed_rewards import Expected, given_up


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


def batch_of(groups: list[int], padding: list[bool]) -> Batch:
    """Only what says which row is of which group."""
    none = torch.zeros(0, dtype=torch.int64)
    return Batch(
        group_ids=torch.tensor(groups),
        padding=torch.tensor(padding),
        positive=none,
        wanted=none,
        active=torch.zeros(max(groups) + 1, dtype=torch.bool),
        prompt_lengths=none,
        response_lengths=none,
        sequence_keys=none,
    )


@pytest.mark.parametrize(
    ("sessions", "missing"),
    [
        (None, 0),  # each row is a response: 3 and 4 of at least 3
        ([0, 1, 2, 0, 1, 2, 2, 0], 0),
        ([0, 0, 1, 0, 1, 2, 2, 0], 1),  # two trajectories of a session are one response
        ([0, 0, 0, 1, 1, 1, 1, 0], 4),
    ],
)
def test_responses_are_sessions_where_verl_names_them(sessions: list[int] | None, missing: int) -> None:
    batch = batch_of([0, 0, 0, 1, 1, 1, 1, 2], [False] * 7 + [True])
    rows: list[dict[str, Any]] = [{"x": torch.ones(2)} for _ in range(8)]
    if sessions is not None:
        rows = [row | {"session_id": session} for row, session in zip(rows, sessions, strict=True)]
    data = list_of_dict_to_tensordict(rows)
    assert Expected(3, 2).missing(data, batch, Exchange()) == missing
    assert Expected(3, 4).missing(data, batch, Exchange()) == missing + 6
