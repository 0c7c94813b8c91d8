# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Metrics of weights over ranks: those of the whole batch, though only sums and counts cross ranks."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from verl_resrl.algorithm.exchange import Exchange
from verl_resrl.algorithm.quantiles import sorted_values
from verl_resrl.algorithm.weights import TokenWeights
from verl_resrl.integration.metrics import weight_metrics

TOKENS, RANKS, HIDDEN = 60_000, 3, 16
NONE = torch.zeros(0).bool()


def tokens() -> tuple[torch.Tensor, TokenWeights]:
    generator = torch.Generator().manual_seed(0)
    residual = torch.rand(TOKENS, generator=generator) ** 4
    residual[::7] = torch.nan  # groups that fell back
    weights = 0.1 + 0.9 * torch.rand(TOKENS, generator=generator)
    alignment = torch.rand(TOKENS, generator=generator)
    return torch.arange(TOKENS) % 3 > 0, TokenWeights(weights, residual, alignment, NONE, NONE)


def part(out: TokenWeights, chosen: torch.Tensor) -> TokenWeights:
    return TokenWeights(out.weights[chosen], out.residual[chosen], out.alignment[chosen], NONE, NONE)


def run_rank(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=RANKS, init_method=f"file://{folder}/rendezvous")
    exchange = Exchange(dist.group.WORLD)
    negative, out = tokens()
    own = torch.arange(TOKENS) % 2 == rank  # the last rank has none
    found = weight_metrics(negative[own], part(out, own), HIDDEN, exchange)
    assert exchange.bytes_sent < TOKENS * 4  # one number a token would be as much, and more on more ranks
    assert found == pytest.approx(weight_metrics(negative, out, HIDDEN, Exchange()), rel=1e-12)
    assert weight_metrics(negative[:0], part(out, own[:0].nonzero()[:, 0]), HIDDEN, exchange) == {}
    dist.destroy_process_group()


def test_ranks_report_what_one_would(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(run_rank, args=(str(tmp_path),), nprocs=RANKS)


@pytest.mark.parametrize("count", [1, 2, 1000])
def test_values_by_their_place(count: int) -> None:
    """Of any sign, with ties and extremes."""
    values = torch.randn(count, generator=torch.Generator().manual_seed(count))
    values[::3] = values[0]
    values[1:2] = torch.finfo(torch.float32).max
    places = sorted({0, count // 5, count // 2, count - 1})
    assert sorted_values(values, places, Exchange()) == values.sort().values[places].tolist()
