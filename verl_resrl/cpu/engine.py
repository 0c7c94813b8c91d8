# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""verl's own FSDP2 engine, registered for device "cpu"."""

import dataclasses
from typing import TYPE_CHECKING, Any

from verl.workers.engine import EngineRegistry
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead

from verl_resrl.cpu.process import use_all_cores

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
