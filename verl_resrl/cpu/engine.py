# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""verl's own FSDP2 engine, registered for device "cpu"."""

import dataclasses
import os
from typing import TYPE_CHECKING, Any

import torch.distributed
from verl.workers.engine import EngineRegistry
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead

if TYPE_CHECKING:
    _FSDPEngine = FSDPEngineWithLMHead
else:
    _FSDPEngine = object  # mixed into one


class CPUEngineMixin(_FSDPEngine):
    """What verl's FSDP2 engine needs to run without an accelerator."""

    def initialize(self) -> None:
        """Build the model as verl does, to run on all cores."""
        use_all_cores()
        super().initialize()

    def _build_fsdp_module(self, module: Any) -> Any:
        # an engine that only runs forward (the reference policy) asks for pinned memory, which needs an accelerator
        config = self.engine_config
        self.engine_config = dataclasses.replace(config, forward_only=False, offload_policy=False)
        try:
            return super()._build_fsdp_module(module)
        finally:
            self.engine_config = config


@EngineRegistry.register(model_type="language_model", backend="fsdp2", device="cpu")
class CPUEngine(CPUEngineMixin, FSDPEngineWithLMHead):
    """verl's FSDP2 engine on a CPU."""


def use_all_cores() -> None:
    """Let this process compute on every core that it may use, unless torch.distributed shares them with others.

    Training and generation take turns, so that each may have all of them.
    """
    ranks = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch.set_num_threads(max(cores // ranks, 1))


def start_process_group() -> None:
    """Start torch.distributed in a worker process of verl's, before verl does.

    verl asks for the backend "cpu:gloo,cpu:gloo", which torch rejects; it uses a group that exists already.
    """
    if os.environ.get("WG_BACKEND") == "ray" and not torch.distributed.is_initialized():
        torch.distributed.init_process_group(
            backend="cpu:gloo", rank=int(os.environ["RANK"]), world_size=int(os.environ["WORLD_SIZE"])
        )
