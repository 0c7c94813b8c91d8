# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Unbiased Pass@k among verl's validation metrics: ``val-aux/<data source>/pass@k/mean@1``.

verl reports ``best@k`` from resamples *with* replacement, in which a right response may be missing although k covers
all samples: it is biased low. The unbiased estimator needs all responses to a prompt at once, and these hooks of
verl's v1 trainer see them or might carry the number:

- ``actor_rollout_ref.rollout.agent.agent_loop_manager_class``, the one used here: given by config, meant for users,
  the same in every trainer mode. Its responses lie in TransferQueue with their scores, and whatever number stands in
  a response's ``reward_extra_info`` verl averages per data source and logs to all backends.
- a custom sampler (``trainer.v1.sampler.custom_sampler``) sees whole groups too, but takes the place of DAPO's group
  filter; its own metrics are dropped in validation.
- a trainer under another name (``register_trainer``) would change what verl compares with "sync", would have to be
  imported in every process, and to override a private method.
- reward managers see one response at a time; ``trainer.logger`` takes verl's own backends only.

Only the first response to a prompt carries the number: verl then logs its mean over prompts, and none of the spreads
and bests that it makes of variables with several values a prompt. The name is verl's: section, data source, variable
("pass@4"), and "mean@1", the mean of the one value that each prompt has.
"""

import time
from typing import Any

import transfer_queue as tq
from tensordict import TensorDict
from verl.trainer.ppo.v1 import AgentLoopManagerTQ
from verl.utils.tensordict_utils import list_of_dict_to_tensordict

from verl_resrl.statistics.passk import pass_at_k, powers_of_two

PARTITION = "val"
ENDED = ("finished", "failure")
# looking costs a message with the state of every response: every 5% of the time passed, between these limits (s)
SHORTEST_WAIT, LONGEST_WAIT, WAIT_SHARE = 0.02, 2.0, 0.05


class PassAtKAgentLoopManager(AgentLoopManagerTQ):
    """verl's agent loop manager, which adds Pass@k to validation responses.

    A response counts as right when its score is above ``resrl.positive_threshold`` (0 where a run has no such
    setting), as everywhere in this package.

    Raises:
        ValueError: scores are computed after the responses have been handed over (a colocated reward model).
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.reward_loop_worker_handles is None:
            raise ValueError(
                "+metrics=pass_at_k needs the score of a response when it is generated, and a colocated reward model "
                "comes later: set reward.reward_model.enable_resource_pool=True or leave +metrics=pass_at_k out"
            )
        self._threshold = float((self.config.get("resrl") or {}).get("positive_threshold", 0.0))

    def generate_sequences(self, prompts: TensorDict) -> None:
        """Dispatch prompts as verl does; in validation, wait for the responses and add Pass@k to them."""
        validate = "validate" in prompts and bool(prompts["validate"])
        uids = [str(uid) for uid in prompts["uid"]]
        super().generate_sequences(prompts)
        if validate:
            # verl's next act is to wait for the very same responses
            _wait_until_ended(uids)
            _add_pass_at_k(uids, self._threshold)


def _wait_until_ended(uids: list[str]) -> None:
    start = time.monotonic()
    while True:
        tags = tq.kv_list(PARTITION)[PARTITION]
        if all(tags[uid]["status"] in ENDED for uid in uids):
            return
        time.sleep(min(max(SHORTEST_WAIT, WAIT_SHARE * (time.monotonic() - start)), LONGEST_WAIT))


def _add_pass_at_k(uids: list[str], threshold: float) -> None:
    """Write Pass@k of each prompt into the ``reward_extra_info`` of its first response."""
    wanted = set(uids)
    keys = _final_keys([key for key in tq.kv_list(PARTITION)[PARTITION] if key.split("_")[0] in wanted and "_" in key])
    if not keys:
        return  # every prompt failed: verl says so
    rows = tq.kv_batch_get(keys=keys, partition_id=PARTITION, select_fields=["rm_scores", "extra_fields"])
    right: dict[str, list[bool]] = {}
    first: dict[str, tuple[str, dict[str, Any]]] = {}
    for key, scores, extra in zip(keys, rows["rm_scores"], rows["extra_fields"], strict=True):
        uid = key.split("_")[0]
        right.setdefault(uid, []).append(float(scores.sum()) > threshold)
        first.setdefault(uid, (key, getattr(extra, "data", extra)))
    changed = [
        {"extra_fields": extra | {"reward_extra_info": (extra.get("reward_extra_info") or {}) | named(right[uid])}}
        for uid, (_, extra) in first.items()
    ]
    tq.kv_batch_put(
        keys=[key for key, _ in first.values()], partition_id=PARTITION, fields=list_of_dict_to_tensordict(changed)
    )


def named(right: list[bool]) -> dict[str, float]:
    """Pass@k of one prompt under the names that verl will log.

    Args:
        right: verdict on each of its responses.

    Returns:
        ``{"pass@1": ..., "pass@2": ..., ...}``, powers of two up to the number of responses.
    """
    n, c = len(right), sum(right)
    return {f"pass@{k}": float(pass_at_k(n, [c], k)[0]) for k in powers_of_two(n)}


def _final_keys(keys: list[str]) -> list[str]:
    """Of the outputs ``uid_session_index`` of each session the last one, which carries its score; in order."""
    last: dict[tuple[str, int], tuple[int, str]] = {}
    for key in keys:
        uid, session, index = key.rsplit("_", 2)
        last[uid, int(session)] = max(last.get((uid, int(session)), (-1, "")), (int(index), key))
    return [key for _, (_, key) in sorted(last.items())]
