# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The same hidden states give the same weights, to the bit, on one rank, two and four, wherever the sequences lie."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from tests.ranks import run_ranks
from verl_resrl import ResRLConfig, interference, token_weights
from verl_resrl.algorithm.config import WEIGHTING
from verl_resrl.algorithm.exchange import Exchange
from verl_resrl.algorithm.groups import NonFiniteError
from verl_resrl.algorithm.sampling import hash64
from verl_resrl.algorithm.weights import TokenWeights


@dataclass
class Case:
    """A batch, and the rank and place of each of its sequences."""

    hidden: Tensor
    sequence_ids: Tensor
    group_ids: Tensor
    is_positive: Tensor
    config: ResRLConfig
    rank_of_sequence: Tensor
    order: Tensor

    @property
    def token_keys(self) -> Tensor:
        """Identity of each token in the whole batch."""
        return hash64(torch.arange(len(self.hidden)))

    @property
    def predictions(self) -> tuple[Tensor, Tensor, Tensor]:
        """A token, the most likely ones, and their probabilities, for each hidden state."""
        head = torch.randn(50, self.hidden.shape[1], generator=torch.Generator().manual_seed(0)) / 4
        probs, ids = (self.hidden.float() @ head.T).softmax(1).topk(8)
        return torch.arange(len(ids)) % 50, ids, probs

    @property
    def entropy(self) -> Tensor:
        """Any number of each token."""
        return self.hidden[:, 0].float().abs()


SETTINGS: list[dict[str, Any]] = [
    *({"weighting": name} for name in WEIGHTING),
    {"shuffle": True},
    {"weighting": "interference", "shuffle": True},
]
SEEDS = range(3 * len(SETTINGS))


def make_case(seed: int, world_size: int) -> Case:
    """Random groups, lengths and placement; every third case leaves ranks without some kind of sequence."""
    generator = torch.Generator().manual_seed(seed)

    def integers(low: int, high: int, count: int) -> Tensor:
        return torch.randint(low, high, (count,), generator=generator)

    count, d = 24, 48
    lengths = integers(0, 90, count)
    positive = integers(0, 2, count).bool()
    rank = integers(0, world_size, count)
    if seed % 3 == 1:
        rank = torch.where(positive, 0, world_size - 1)  # positives and negatives apart
    elif seed % 3 == 2:
        rank = torch.full_like(rank, world_size - 1)  # the others have nothing at all
    hidden = torch.randn(int(lengths.sum()), d, generator=generator)
    return Case(
        hidden=hidden.bfloat16() if seed % 2 else hidden,
        sequence_ids=torch.repeat_interleave(torch.arange(count), lengths),
        group_ids=integers(0, 1 + seed % 5, count) * 1000 - 7,
        is_positive=positive,
        config=ResRLConfig(
            rank=int(integers(1, 20, 1)),
            max_positive_tokens=int(integers(4, 400, 1)),
            max_workspace_gb=1.0 if seed % 2 else 1e-5,
            **SETTINGS[seed // 3],
        ),
        rank_of_sequence=rank,
        order=torch.randperm(count, generator=generator),
    )


def weights_here(case: Case, exchange: Exchange) -> tuple[Tensor, Tensor, TokenWeights]:
    """Which tokens of the batch are here, this rank's sequences in the case's order; their interference and weights."""
    mine = case.order[case.rank_of_sequence[case.order] == exchange.rank]
    tokens = torch.cat([torch.zeros(0, dtype=torch.int64), *((case.sequence_ids == s).nonzero()[:, 0] for s in mine)])
    place = torch.zeros(len(case.group_ids), dtype=torch.int64)
    place[mine] = torch.arange(len(mine))
    rest = (place[case.sequence_ids[tokens]], case.group_ids[mine], case.is_positive[mine], case.config)
    keys = {"token_keys": case.token_keys[tokens], "exchange": exchange}
    hidden, predictions = case.hidden[tokens], (part[tokens] for part in case.predictions)
    score = interference(hidden, *predictions, *rest, **keys)
    return tokens, score, token_weights(hidden, *rest, **keys, entropy=case.entropy[tokens], interference=score)


def whole_batch(case: Case) -> tuple[Tensor, TokenWeights]:
    rest = (case.sequence_ids, case.group_ids, case.is_positive, case.config)
    score = interference(case.hidden, *case.predictions, *rest, token_keys=case.token_keys)
    scores = {"entropy": case.entropy, "interference": score}
    return score, token_weights(case.hidden, *rest, token_keys=case.token_keys, **scores)


def run_rank(rank: int, world_size: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=world_size, init_method=f"file://{folder}/rendezvous")
    results = {}
    for seed in SEEDS:
        exchange = Exchange(dist.group.WORLD)
        tokens, score, out = weights_here(make_case(seed, world_size), exchange)
        results[seed] = (tokens, score, out.weights, out.residual, out.alignment, out.active)
    torch.save(results, f"{folder}/results{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.parametrize("world_size", [2, 4])
def test_same_bits_on_any_number_of_ranks(world_size: int, tmp_path: Path) -> None:
    run_ranks(run_rank, world_size, world_size, str(tmp_path))
    results = [torch.load(tmp_path / f"results{rank}.pt") for rank in range(world_size)]
    some_active = 0
    for seed in SEEDS:
        case = make_case(seed, world_size)
        expected_score, expected = whole_batch(case)
        some_active += int(expected.active.sum())
        seen = torch.zeros(len(case.hidden), dtype=torch.int64)
        for tokens, score, weights, residual, alignment, active in (result[seed] for result in results):
            seen[tokens] += 1
            assert torch.equal(active, expected.active)
            assert torch.equal(score.nan_to_num(-1), expected_score[tokens].nan_to_num(-1))
            assert torch.equal(weights, expected.weights[tokens])
            assert torch.equal(residual.nan_to_num(-1), expected.residual[tokens].nan_to_num(-1))
            assert torch.equal(alignment.nan_to_num(-1), expected.alignment[tokens].nan_to_num(-1))
        assert (seen == 1).all()
    assert some_active > 30


def run_rank_to_gather(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", rank=rank, world_size=3, init_method=f"file://{folder}/rendezvous")
    exchange = Exchange(dist.group.WORLD)
    for counts in ((2, 0, 3), (0, 0, 0), (1, 1, 1)):
        for dtype, shape in ((torch.float32, ()), (torch.int64, (4,)), (torch.bfloat16, (2, 3)), (torch.bool, ())):
            parts = [torch.arange(r, r + n * math.prod(shape)).to(dtype).view(n, *shape) for r, n in enumerate(counts)]
            assert torch.equal(exchange.gather(parts[rank]), torch.cat(parts))
    dist.destroy_process_group()


def test_rows_of_all_ranks_come_in_their_order(tmp_path: Path) -> None:
    run_ranks(run_rank_to_gather, 3, str(tmp_path))


def run_rank_to_count_bytes(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=2, init_method=f"file://{folder}/rendezvous")
    groups, limit, d, length = 4, 64, 256, 300
    generator = torch.Generator().manual_seed(rank)
    hidden = torch.randn(2 * groups * length, d, generator=generator).bfloat16()
    exchange = Exchange(dist.group.WORLD)
    token_weights(
        hidden,
        torch.arange(2 * groups).repeat_interleave(length),
        torch.arange(groups).repeat(2),
        torch.arange(2 * groups) < groups,
        ResRLConfig(rank=4, max_positive_tokens=limit),
        token_keys=hash64(torch.arange(len(hidden)), rank),
        exchange=exchange,
    )
    states = groups * limit * d * 2
    assert exchange.bytes_sent < states  # everything together: states, keys, subspaces, residuals
    dist.destroy_process_group()


def test_what_crosses_ranks_is_bounded_by_the_sample(tmp_path: Path) -> None:
    """Of 2400 positive tokens a rank sends no more than its part of the 64 of each group, and small things."""
    run_ranks(run_rank_to_count_bytes, 2, str(tmp_path))


def run_rank_to_count_bytes_of_interference(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=2, init_method=f"file://{folder}/rendezvous")
    groups, limit, d, k, length, vocabulary, m = 4, 64, 256, 4, 300, 1000, 8
    generator = torch.Generator().manual_seed(rank)
    hidden = torch.randn(2 * groups * length, d, generator=generator).bfloat16()
    probs, ids = torch.randn(len(hidden), vocabulary, generator=generator).softmax(1).topk(m)
    exchange = Exchange(dist.group.WORLD)
    interference(
        hidden,
        ids[:, 0],
        ids,
        probs,
        torch.arange(2 * groups).repeat_interleave(length),
        torch.arange(groups).repeat(2),
        torch.arange(2 * groups) < groups,
        ResRLConfig(rank=k, max_positive_tokens=limit),
        token_keys=hash64(torch.arange(len(hidden)), rank),
        exchange=exchange,
    )
    states = groups * limit * d * 2
    sums = groups * vocabulary * (k + 2) * 8
    assert sums < exchange.bytes_sent < states + sums + groups * vocabulary * 8  # and the tokens of the vocabulary
    dist.destroy_process_group()


def test_what_crosses_ranks_for_interference_is_bounded_by_the_vocabulary(tmp_path: Path) -> None:
    """Of 4 x 300 positive tokens and their predictions a rank sends sums over those that have the same."""
    run_ranks(run_rank_to_count_bytes_of_interference, 2, str(tmp_path))


def run_rank_with_nan(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=2, init_method=f"file://{folder}/rendezvous")
    hidden = torch.randn(80, 8, generator=torch.Generator().manual_seed(rank))
    if rank == 1:
        hidden[25] = torch.nan
    arguments = (hidden, torch.arange(4).repeat_interleave(20), torch.tensor([0, 1, 0, 1]), torch.arange(4) < 2)
    keys = hash64(torch.arange(80), rank)
    with pytest.raises(NonFiniteError, match="of 1 response tokens") as error:
        token_weights(*arguments, ResRLConfig(rank=3), token_keys=keys, exchange=Exchange(dist.group.WORLD))
    assert error.value.sequences.tolist() == ([1] if rank == 1 else [])
    del error  # its traceback holds the process group, whose threads must end before the process does
    config = ResRLConfig(rank=3, on_failure="fallback")
    out = token_weights(*arguments, config, token_keys=keys, exchange=Exchange(dist.group.WORLD))
    assert out.active.tolist() == [True, False]
    assert out.non_finite.tolist() == [False, True]
    of_bad_group = torch.tensor([0, 1, 0, 1]).repeat_interleave(20) == 1
    assert (out.weights[of_bad_group] == 1).all()
    assert out.residual[of_bad_group].isnan().all()
    assert out.weights[40:60].std() > 0.1
    dist.destroy_process_group()


def test_every_rank_hears_of_a_state_that_is_not_finite(tmp_path: Path) -> None:
    run_ranks(run_rank_with_nan, 2, str(tmp_path))


def test_keys_are_needed_with_an_exchange() -> None:
    exchange = Exchange()
    exchange.size = 2
    with pytest.raises(ValueError, match="token_keys must be given with an exchange"):
        token_weights(
            torch.zeros(1, 4),
            torch.zeros(1, dtype=torch.int64),
            torch.zeros(1, dtype=torch.int64),
            torch.ones(1, dtype=torch.bool),
            exchange=exchange,
        )
