# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Protocols of ``resrl eval --benchmark``: how the ResRL paper (arXiv 2605.00380) evaluates each benchmark."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from verl_resrl.tasks.data.sources import SOURCES

RATING_RANGE = (0.0, 4000.0)  # Codeforces rates its problems from 800 to 3500


@dataclass(frozen=True)
class Benchmark:
    """A protocol.

    Attributes:
        name: for the command line.
        data: name for ``scripts/prepare_data.py``.
        domain: "math" or "code".
        samples: responses to each problem; the larger of what Avg and Pass need.
        averaged: the n of Avg@n, the mean score of that many responses.
        ks: each k of Pass@k.
        temperature: of sampling.
        top_p: of sampling.
        max_prompt: tokens.
        max_response: tokens.
        enable_thinking: argument of Qwen3's chat template.
        reward: what ``reward.custom_reward_function.path`` would be; the function is ``compute_score``.
        note: how it differs from the paper, or what is not known of the paper's protocol.
    """

    name: str
    data: str
    domain: str
    samples: int
    averaged: int
    ks: tuple[int, ...]
    temperature: float
    top_p: float
    max_prompt: int
    max_response: int
    enable_thinking: bool
    reward: str
    note: str = ""

    def __post_init__(self) -> None:
        if self.data not in SOURCES:
            raise ValueError(f"benchmark {self.name}: no data set {self.data!r}")
        if self.samples < max(self.averaged, *self.ks):
            raise ValueError(f"benchmark {self.name}: {self.samples} responses are fewer than its metrics need")


def _math(name: str) -> Benchmark:
    return Benchmark(
        name=name,
        data=name,
        domain="math",
        samples=128,
        averaged=16,
        ks=(1, 2, 4, 8, 16, 32, 64, 128),
        temperature=0.6,
        top_p=1.0,
        max_prompt=2048,
        max_response=4096,
        enable_thinking=False,
        reward="pkg://verl_resrl.tasks.math_reward",
        note="top_p is that of the authors' training script",
    )


def _code(name: str, note: str) -> Benchmark:
    return Benchmark(
        name=name,
        data=name,
        domain="code",
        samples=16,
        averaged=16,
        ks=(1, 2, 4, 8, 16),
        temperature=0.6,
        top_p=1.0,
        max_prompt=2048,
        max_response=4096,
        enable_thinking=False,
        reward="pkg://verl_resrl.tasks.code_reward",
        note=note,
    )


_SAMPLING = "temperature, top_p and lengths are those of mathematics: the paper's are not known to us"
BENCHMARKS: dict[str, Benchmark] = {
    benchmark.name: benchmark
    for benchmark in (
        *(_math(name) for name in ("aime24", "aime25", "amc23", "math500", "minerva", "olympiadbench")),
        _code("livecodebench", _SAMPLING),
        _code("humaneval-plus", _SAMPLING),
        _code(
            "codeforces",
            f"{_SAMPLING}; so are its problems and its way from solved problems to a rating, hence no comparison with "
            "its number; the percentile needs --codeforces-users, the ratings of all users",
        ),
    )
}


@dataclass(frozen=True)
class AgentBenchmark:
    """Protocol of a benchmark whose episodes have many turns: verl's own validation plays them.

    Attributes:
        name: for the command line, for ``+agent=`` and for ``scripts/prepare_data.py``.
        files: names of parquet files in the benchmark's folder.
        temperature: of sampling; 0 takes the most likely token.
        max_prompt: tokens; instruction and first observation.
        max_response: tokens; the rest of the episode.
    """

    name: str
    files: tuple[str, ...]
    temperature: float
    max_prompt: int
    max_response: int


# temperatures and lengths are ours, those of examples/agents and examples/function_calling
AGENT_BENCHMARKS = {
    benchmark.name: benchmark
    for benchmark in (
        AgentBenchmark("alfworld", ("test_seen", "test_unseen"), 0.4, 2048, 12288),
        AgentBenchmark("webshop", ("test",), 0.4, 2048, 12288),
        AgentBenchmark("textworld", ("test",), 0.4, 2048, 12288),
        AgentBenchmark("bfcl", ("test",), 0.0, 12288, 12288),
    )
}


def codeforces_rating(problem_ratings: Sequence[float], solved: Sequence[float]) -> float:
    """Maximum-likelihood rating of a solver, from the problems that it solved.

    Codeforces uses Elo's model, with the problem as the opponent: a solver rated r solves a problem rated d with
    probability ``1 / (1 + 10 ** ((d - r) / 400))`` (M. Mirzayanov, codeforces.com/blog/entry/62865). The likelihood of
    independent attempts is largest where the expected number of solutions is the observed one, which one r fulfils.
    Contests are not replayed: penalties, wrong attempts and the ranks of people play no part, so it is not the number
    that CodeElo computes (arXiv 2501.01257).

    Args:
        problem_ratings: (n,) of the problems.
        solved: (n,) share of the attempts that were right, in [0, 1]; as many attempts at each problem.

    Returns:
        The rating, within ``RATING_RANGE``; its ends if no attempt or all were right.

    Raises:
        ValueError: there is no problem, the lengths differ, or a share is not in [0, 1].
    """
    difficulty, share = np.asarray(problem_ratings, dtype=float), np.asarray(solved, dtype=float)
    if difficulty.ndim != 1 or difficulty.shape != share.shape or difficulty.size == 0:
        raise ValueError(f"codeforces_rating: {difficulty.shape} ratings and {share.shape} shares do not fit")
    if not (np.isfinite(difficulty).all() and ((share >= 0) & (share <= 1)).all()):
        raise ValueError("codeforces_rating: ratings must be finite, shares in [0, 1]")

    def surplus(rating: float) -> float:
        return float((1 / (1 + 10 ** ((difficulty - rating) / 400)) - share).sum())

    low, high = RATING_RANGE
    if surplus(low) >= 0:
        return low
    if surplus(high) <= 0:
        return high
    return float(brentq(surplus, low, high, xtol=1e-6))
