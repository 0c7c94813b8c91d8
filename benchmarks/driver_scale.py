# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Time and memory of what our code does with a whole step in one process: ``python -m benchmarks.driver_scale``.

The driver runs the estimator on all responses of a step; workers read their share, count groups and summarise weights.
Here one process has all of it. Sizes are numbers of prompts.
"""

import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
import torch
from tensordict import TensorDict

from verl_resrl.algorithm.config import ResRLConfig
from verl_resrl.algorithm.exchange import Exchange
from verl_resrl.integration.batch import read_batch
from verl_resrl.integration.estimators import resrl
from verl_resrl.integration.metrics import group_metrics, weight_metrics

PROMPTS = (100, 1_000, 10_000)
RESPONSES, LENGTH, PROMPT_LENGTH = 16, 128, 8


def peak_mib() -> float:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def estimator(prompts: int) -> None:
    """The driver's part.

    Args:
        prompts: of the step.
    """
    rows = prompts * RESPONSES
    rewards = torch.zeros(rows, LENGTH)
    rewards[:, -1] = (torch.rand(rows) < 0.5).float()
    uids = np.repeat(np.array([f"{prompt:032x}" for prompt in range(prompts)], dtype=object), RESPONSES)
    config = {"resrl": {}, "norm_adv_by_std_in_grpo": True}
    resrl(rewards, torch.ones(rows, LENGTH), index=uids, config=config)


def workers(prompts: int) -> None:
    """The workers' part, without hidden states: their cost is in docs/benchmark.md.

    Args:
        prompts: of the step.
    """
    rows, exchange, config = prompts * RESPONSES, Exchange(), ResRLConfig()
    offsets = torch.arange(rows + 1)

    def nested(length: int, values: torch.Tensor) -> torch.Tensor:
        return torch.nested.nested_tensor_from_jagged(values, offsets * length)

    def ints(length: int) -> torch.Tensor:
        return nested(length, torch.randint(0, 1000, (rows * length,)))

    scores = torch.zeros(rows, LENGTH)
    scores[:, -1] = (torch.rand(rows) < 0.5).float()
    data = TensorDict(
        {
            "prompts": ints(PROMPT_LENGTH),
            "responses": ints(LENGTH),
            "input_ids": ints(PROMPT_LENGTH + LENGTH),
            "response_mask": nested(LENGTH, torch.ones(rows * LENGTH, dtype=torch.int64)),
            "rm_scores": nested(LENGTH, scores.flatten()),
        },
        batch_size=[rows],
    )
    data["uid"] = [f"{prompt:032x}" for prompt in range(prompts) for _ in range(RESPONSES)]
    batch = read_batch(data, config, exchange)
    group_metrics(batch, torch.zeros_like(batch.active), exchange)
    negative = torch.repeat_interleave(~batch.positive, LENGTH)[batch.wanted]
    tokens = len(negative)
    out = SimpleNamespace(residual=torch.rand(tokens), weights=torch.rand(tokens), alignment=torch.rand(tokens))
    weight_metrics(negative, out, 1024, exchange)  # type: ignore[arg-type]


PARTS = {"estimator": estimator, "workers": workers}


def main(arguments: Sequence[str]) -> None:
    """Measure each part at each size, in a process of its own."""
    if len(arguments) == 3 and arguments[0] == "--one":
        prompts = int(arguments[2])
        PARTS[arguments[1]](2)  # what is loaded and compiled at the first call is not part of it
        before, begin = peak_mib(), time.process_time()
        PARTS[arguments[1]](prompts)
        seconds, memory = time.process_time() - begin, peak_mib() - before
        numbers = prompts * RESPONSES * LENGTH * 4 / 2**20  # MiB of one float32 a token
        print(f"| {arguments[1]} | {prompts:,} | {seconds:.2f} | {memory:,.0f} | {memory / numbers:.1f} |", flush=True)
        return
    print(f"{RESPONSES} responses of {LENGTH} tokens to each prompt; torch {torch.__version__}, one thread of its own")
    print("| part | prompts | CPU s | MiB | float32 a token |\n|---|---|---|---|---|", flush=True)
    for part in PARTS:
        for size in arguments or map(str, PROMPTS):
            subprocess.run([sys.executable, "-m", "benchmarks.driver_scale", "--one", part, size], check=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(sys.argv[1:])
