# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Responses without a verdict: those that verl left out of a batch, and those whose reward function gave up.

Where a reward or a rollout fails, verl logs it in the process where it happened, drops the response, or its whole
group, and trains on what is left, with exit code 0 and no metric. Here it is counted, and stops the run unless
``resrl.on_failure=fallback``.
"""

from dataclasses import dataclass

import torch
from tensordict import TensorDict
from torch import Tensor

from verl_resrl.algorithm.exchange import Exchange
from verl_resrl.integration.batch import Batch

REWARD_FAILURES = "resrl/reward_failures"
GIVEN_UP = "resrl/rewards_given_up"


class MissingResponsesError(RuntimeError):
    """Responses of a step are missing, and ``resrl.on_failure`` is "stop"."""


@dataclass(frozen=True)
class Expected:
    """What a step should bring.

    Attributes:
        rollouts: responses to each prompt, ``actor_rollout_ref.rollout.n``.
        prompts: of a step, ``data.train_batch_size``; 0 where the trainer replaces prompts that failed.
    """

    rollouts: int
    prompts: int

    def missing(self, data: TensorDict, batch: Batch, exchange: Exchange) -> int:
        """Count the responses that are missing over all ranks; the trajectories of an agent's session are one.

        Args:
            data: batch of this rank as verl hands it over; without the field session_id each row is a response.
            batch: what was read of it.
            exchange: to the ranks that hold the rest of the batch.
        """
        group = batch.group_ids[~batch.padding]  # padding rows are groups of their own
        if "session_id" in data:
            session = torch.tensor([int(number) for number in data["session_id"]], dtype=torch.int64)[~batch.padding]
            pairs = exchange.gather(torch.unique(torch.stack([group, session], 1), dim=0))
            responses = torch.bincount(torch.unique(pairs, dim=0)[:, 0])
        else:
            responses = exchange.sum(torch.bincount(group, minlength=len(batch.active)))
        responses = responses[responses > 0]
        within = int((self.rollouts - responses).clamp_min(0).sum())
        return within + max(0, self.prompts - len(responses)) * self.rollouts


def message(missing: int, step: str) -> str:
    """Say what is missing and what to do, in one line."""
    return (
        f"ResRL: {missing} responses of step {step} are missing: verl left them out because their reward or their "
        "rollout failed (see 'Error in _run_prompt' further up), an agent returned nothing ('Empty output') or a "
        "prompt asked for fewer (__rollout_n__); mend the reward function, the agent or the data, or set "
        "resrl.on_failure=fallback to train on the others and count them in resrl/reward_failures"
    )


def given_up(data: TensorDict, padding: Tensor, exchange: Exchange) -> int:
    """Count the responses over all ranks whose judge gave up, and which count as wrong.

    Args:
        data: batch of this rank; verl keeps what a reward function returns beside its score in ``extra_fields``.
        padding: (num_sequences,) bool, rows that verl appended, copies of others.
        exchange: to the ranks that hold the rest of the batch.
    """
    fields = [getattr(field, "data", field) for field in data.get("extra_fields", ())]
    real = [field for field, added in zip(fields, padding.tolist(), strict=False) if not added]
    infos = [field.get("reward_extra_info") or {} for field in real if isinstance(field, dict)]
    own = sum(bool(info.get("gave_up")) for info in infos)
    return int(exchange.sum(torch.tensor([own])))
