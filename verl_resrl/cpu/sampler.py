# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Replay buffers for small, repeatable runs: they poll quickly and hand out batches in a fixed order.

``replay_buffer`` is what ``+device=cpu`` names as verl's custom sampler. verl leaves the choice by trainer mode and the
filtering of groups (DAPO) to a custom sampler, so it makes both as verl does for its own.
"""

from typing import TYPE_CHECKING, Any

import transfer_queue as tq
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer, ReplayBufferAsync

POLL_SECONDS = 0.02  # verl's 2 s are longer than a step of a small model
if TYPE_CHECKING:
    _ReplayBuffer = ReplayBuffer
else:
    _ReplayBuffer = object  # mixed into one


class _Ordered(_ReplayBuffer):
    """verl's order is that in which responses happened to finish; the order of a batch decides its mini-batches."""

    def sample(self, *args: Any, **kwargs: Any) -> Any:
        """Sample as verl does and order the batch by prompt and response."""
        batch, metrics = super().sample(*args, **kwargs)
        texts = tq.kv_batch_get(
            keys=batch.keys, partition_id=batch.partition_id, select_fields=["prompts", "responses"]
        )
        prompts, responses = ([row.tolist() for row in texts[name].unbind()] for name in ("prompts", "responses"))
        batch.reorder(sorted(range(len(batch.keys)), key=lambda row: (prompts[row], responses[row])))
        return batch, metrics


class OrderedReplayBuffer(_Ordered, ReplayBuffer):
    """For the trainer mode "sync"."""


class OrderedReplayBufferAsync(_Ordered, ReplayBufferAsync):
    """For the trainer modes "colocate_async" and "separate_async"."""


def replay_buffer(trainer_mode: str, sampler_kwargs: Any, **kwargs: Any) -> ReplayBuffer:
    """Make the replay buffer of a trainer mode; see ``PPOTrainer._build_replay_buffer`` in verl.

    Args:
        trainer_mode: ``trainer.v1.trainer_mode``.
        sampler_kwargs: ``trainer.v1.sampler.sampler_kwargs``: ``filter_groups`` (``algorithm.filter_groups``),
            ``sync_refill_failed_groups`` (of ``trainer.v1.sampler``) and ``train_batch_size`` (of ``data``).
        kwargs: what verl gives every custom sampler.
    """
    filter_groups, refill = sampler_kwargs.filter_groups, sampler_kwargs.sync_refill_failed_groups
    kwargs |= {
        "trainer_mode": trainer_mode,
        "sampler_kwargs": sampler_kwargs,
        "poll_interval": POLL_SECONDS,
        "filter_groups_metric": filter_groups.metric if filter_groups.enable else None,
        "sync_refill_failed_groups": refill,
    }
    if trainer_mode != "sync":
        return OrderedReplayBufferAsync(**kwargs)
    batch_size = sampler_kwargs.train_batch_size
    return OrderedReplayBuffer(
        **kwargs,
        train_batch_size=batch_size,
        gen_batch_size=1 if filter_groups.enable or refill else batch_size,  # to replace single prompts
        max_inflight_gen_batches=filter_groups.max_inflight_gen_batches,
    )
