# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Replay buffer for small, repeatable runs: polls quickly and hands out batches in a fixed order."""

from typing import Any

import transfer_queue as tq
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer


class OrderedReplayBuffer(ReplayBuffer):
    """verl's replay buffer for steps of a second.

    verl's order is that in which responses happened to finish; the order of a batch decides its mini-batches.
    """

    def __init__(self, sampler_kwargs: Any, **kwargs: Any) -> None:
        filter_groups = sampler_kwargs["filter_groups"]
        if filter_groups["enable"]:  # +method=dapo: the settings that verl computes for its own sampler only
            kwargs |= {
                "filter_groups_metric": filter_groups["metric"],
                "max_inflight_gen_batches": filter_groups["max_inflight_gen_batches"],
                "train_batch_size": sampler_kwargs["train_batch_size"],
                "gen_batch_size": 1,
            }
        super().__init__(sampler_kwargs=sampler_kwargs, **kwargs, poll_interval=0.02)

    def sample(self, *args: Any, **kwargs: Any) -> Any:
        """Sample as verl does and order the batch by prompt and response."""
        batch, metrics = super().sample(*args, **kwargs)
        texts = tq.kv_batch_get(
            keys=batch.keys, partition_id=batch.partition_id, select_fields=["prompts", "responses"]
        )
        prompts, responses = ([row.tolist() for row in texts[name].unbind()] for name in ("prompts", "responses"))
        batch.reorder(sorted(range(len(batch.keys)), key=lambda row: (prompts[row], responses[row])))
        return batch, metrics
