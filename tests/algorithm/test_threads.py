# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Groups side by side: the same bits as one after the other, and nothing of it is left behind."""

from dataclasses import replace

import pytest
import torch

from tests.algorithm.weight_inputs import make_inputs
from verl_resrl.algorithm.threads import for_each

CPU = torch.device("cpu")


@pytest.fixture
def three_threads():
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(threads)


def test_weights_are_the_same_to_the_bit_on_any_number_of_threads(three_threads: None) -> None:
    inputs = make_inputs([[(60, True), (40, False)], [(30, True), (30, True), (50, False)]] * 3, 48, seed=1)
    side_by_side = inputs.compute(rank=8)
    torch.set_num_threads(1)
    alone = inputs.compute(rank=8)
    assert torch.equal(side_by_side.weights, alone.weights)
    assert torch.equal(side_by_side.residual, alone.residual)


def test_hidden_states_that_require_gradients_take_part_in_no_graph(three_threads: None) -> None:
    inputs = make_inputs([[(60, True), (40, False)]] * 2, 16, seed=1)
    out = replace(inputs, hidden=inputs.hidden.requires_grad_()).compute(rank=4)
    assert not out.weights.requires_grad


def test_weights_are_computed_in_inference_mode_too(three_threads: None) -> None:
    inputs = make_inputs([[(60, True), (40, False)]] * 2, 16, seed=1)
    with torch.inference_mode():
        out = inputs.compute(rank=4)
    assert torch.equal(out.weights, inputs.compute(rank=4).weights)


def test_each_item_has_one_thread_and_the_number_of_threads_stays(three_threads: None) -> None:
    seen = []
    for_each(lambda item: seen.append((item, torch.get_num_threads())), range(8), CPU)
    assert sorted(seen) == [(item, 1) for item in range(8)]
    assert torch.get_num_threads() == 3
    seen.clear()
    for_each(lambda item: seen.append((item, torch.get_num_threads())), range(2), CPU, most=1)
    assert seen == [(0, 3), (1, 3)]


def test_what_fails_in_a_thread_is_raised(three_threads: None) -> None:
    def fail(item: int) -> None:
        raise ValueError(f"item {item}")

    with pytest.raises(ValueError, match="item 0"):
        for_each(fail, range(2), CPU)
    assert torch.get_num_threads() == 3
