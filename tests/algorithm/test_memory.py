# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""What a batch takes of memory: counted, against what is designed; and what hidden states go through on their way."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.measure import peak_bytes
from verl_resrl import ResRLConfig, token_weights
from verl_resrl.algorithm.memory import hidden_bytes, waits_on_device, work_bytes
from verl_resrl.integration.tap import ResponseStates

GIB = 2**30


def pass_over(prompts: int, rollouts: int, length: int, d: int, config: ResRLConfig) -> ResponseStates:
    """What the log-prob pass of a batch does, one sequence a micro-batch."""
    sequences = prompts * rollouts
    lengths = torch.full((sequences,), length)
    wanted = torch.ones(sequences * length, dtype=torch.bool)
    states = ResponseStates(torch.full((sequences,), 2), wanted, lengths)
    generator = torch.Generator().manual_seed(0)
    for row in range(sequences):
        hidden = torch.randn(length + 2, d, generator=generator).bfloat16()
        states.store(hidden, torch.tensor([row]), torch.tensor([0]))
    positive = torch.arange(rollouts).repeat(prompts) < rollouts // 2
    groups = torch.arange(prompts).repeat_interleave(rollouts)
    token_weights(states.hidden(), states.sequence_ids, groups, positive, config=config)
    return states


@pytest.mark.parametrize(
    ("prompts", "rollouts", "length", "d"), [(4, 4, 500, 256), (1, 8, 1000, 128), (16, 4, 60, 512)]
)
def test_a_batch_takes_no_more_than_designed(prompts: int, rollouts: int, length: int, d: int) -> None:
    config = ResRLConfig(rank=16, max_workspace_gb=0.001)
    tokens = prompts * rollouts * length
    designed = hidden_bytes(tokens, d, 2)
    designed += work_bytes(tokens, d, prompts, min(rollouts // 2 * length, config.max_positive_tokens), config)
    measured = peak_bytes(lambda: pass_over(prompts, rollouts, length, d, config), "cpu")
    # half of it, so that the design says something
    assert 0.5 * designed < measured <= designed


def test_a_large_batch_fits_beside_an_actor() -> None:
    """One rank's share of 8 of 1024 responses of 4096 tokens, 8 to a prompt, hidden size 4096, all groups active."""
    tokens, groups, config = 1024 * 4096 // 8, 1024 // 8, ResRLConfig()
    assert hidden_bytes(tokens, 4096, 2) == 4 * GIB
    # groups lie on several ranks: each may hold the subspaces of all
    beside = work_bytes(tokens, 4096, groups, config.max_positive_tokens, config)
    assert beside < 1.5 * GIB
    on_host = replace(config, hidden_offload="cpu")
    assert not waits_on_device(on_host.hidden_offload, 4 * GIB, 80 * GIB)


def test_hidden_states_wait_on_the_device_if_they_fit() -> None:
    assert waits_on_device("auto", 4 * GIB, 8 * GIB)
    assert not waits_on_device("auto", 4 * GIB, 8 * GIB - 1)
    assert waits_on_device("device", 4 * GIB, GIB)
    assert not waits_on_device("cpu", 1, GIB)


@given(st.data())
def test_every_state_is_kept_once_and_in_its_place(data: st.DataObject) -> None:
    """Prompts, responses with holes, micro-batches in any order: what comes out is the state before each token."""
    count = data.draw(st.integers(1, 5), "sequences")
    prompts = data.draw(st.lists(st.integers(1, 4), min_size=count, max_size=count), "prompts")
    masks = [data.draw(st.lists(st.booleans(), min_size=1, max_size=6), f"mask {i}") for i in range(count)]
    states = ResponseStates(
        torch.tensor(prompts),
        torch.tensor([wanted for mask in masks for wanted in mask]),
        torch.tensor([len(mask) for mask in masks]),
    )
    order = data.draw(st.permutations(range(count)), "order")
    cut = data.draw(st.integers(0, count), "cut")
    for part in (order[:cut], order[cut:]):
        if not part:
            continue
        lengths = [prompts[i] + len(masks[i]) for i in part]
        # a state says where it is from: sequence and position
        hidden = torch.tensor([[i, t] for i, n in zip(part, lengths, strict=True) for t in range(n)]).float()
        starts = torch.tensor([sum(lengths[:n]) for n in range(len(part))])
        states.store(hidden, torch.tensor(part), starts)
    expected = [[i, prompts[i] + t - 1] for i in range(count) for t, wanted in enumerate(masks[i]) if wanted]
    assert states.hidden().tolist() == expected
    assert states.sequence_ids.tolist() == [i for i, _ in expected]


@pytest.mark.gpu
@pytest.mark.parametrize("offload", ["device", "cpu"])
def test_weights_do_not_depend_on_where_states_wait(offload: str) -> None:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(8 * 40, 64, generator=generator).bfloat16().cuda()
    lengths = torch.full((8,), 39)
    states = ResponseStates(
        torch.ones(8, dtype=torch.int64), torch.ones(8 * 39, dtype=torch.bool), lengths, offload=offload
    )
    states.store(hidden, torch.arange(8), torch.arange(8) * 40)
    assert states.hidden().device.type == ("cpu" if offload == "cpu" else "cuda")
    ids = (states.sequence_ids, torch.arange(8) // 4, torch.arange(8) % 2 == 0)
    out = token_weights(states.hidden(), *(tensor.cuda() for tensor in ids), config=ResRLConfig(rank=8))
    expected = token_weights(
        hidden.view(8, 40, 64)[:, :-1].flatten(0, 1), *(tensor.cuda() for tensor in ids), config=ResRLConfig(rank=8)
    )
    torch.testing.assert_close(out.weights, expected.weights, rtol=0, atol=1e-4)
