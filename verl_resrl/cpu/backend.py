# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Register the CPU engine and the rollout "hf" with verl. Imported when verl runs on platform "cpu"."""

from verl.workers.rollout import base as rollout_base
from verl.workers.rollout.replica import RolloutReplica, RolloutReplicaRegistry

from verl_resrl.cpu import checkpoint_engine  # noqa: F401 (registers itself)
from verl_resrl.cpu.process import is_worker, start_process_group


def _load_replica() -> type[RolloutReplica]:
    from verl_resrl.cpu.rollout import HFReplica

    return HFReplica


RolloutReplicaRegistry.register("hf", _load_replica)
# verl keeps the trainer's side of a rollout in a plain table without a function to register in it
rollout_base._ROLLOUT_REGISTRY[("hf", "async")] = "verl_resrl.cpu.rollout.HFRollout"
if is_worker():
    # registers itself; the many helpers of a run do not need it, and would load it for seconds
    from verl_resrl.cpu import engine  # noqa: F401

    start_process_group()
