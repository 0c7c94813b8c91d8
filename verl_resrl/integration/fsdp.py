# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""ResRL on verl's FSDP and FSDP2 engine, with remove-padding and Ulysses sequence parallelism or without."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from tensordict import TensorDict
from torch import Tensor, nn
from verl.utils import tensordict_utils as tu
from verl.workers.config import FSDPEngineConfig
from verl.workers.engine import EngineRegistry
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead

from verl_resrl.algorithm.config import ResRLConfig
from verl_resrl.cpu.engine import CPUEngineMixin
from verl_resrl.integration.advantages import OWN_ESTIMATOR
from verl_resrl.integration.engine import ResRLEngineMixin
from verl_resrl.integration.engine_settings import MODEL_TYPE, check_engine, check_logits, resrl_settings
from verl_resrl.integration.head_tap import output_head
from verl_resrl.integration.tap import find_decoder_layers, layer_index, num_decoder_layers

if TYPE_CHECKING:
    _FSDPEngine = FSDPEngineWithLMHead
else:
    _FSDPEngine = object  # mixed into one


@dataclass
class ResRLFSDPEngineConfig(FSDPEngineConfig):
    """verl's FSDP settings and ours.

    Attributes:
        resrl: settings of ResRL; a mapping with the fields of ``ResRLConfig`` is converted.
        bypass_mode: whether verl skips the old_log_prob pass (``algorithm.rollout_correction.bypass_mode``).
        adv_estimator: ``algorithm.adv_estimator``.
        rollouts: ``actor_rollout_ref.rollout.n``; 0 if it is not known: then no response can be missing.
        prompts: ``data.train_batch_size``.
        trainer_mode: ``trainer.v1.trainer_mode``.
        actor_strategy: ``actor_rollout_ref.actor.strategy``.

    Raises:
        ValueError: a setting is out of range, the old_log_prob pass, which ResRL needs, is skipped, or the actor runs
            on another engine.
    """

    resrl: Any = field(default_factory=ResRLConfig)
    bypass_mode: bool = False
    adv_estimator: str = OWN_ESTIMATOR
    rollouts: int = 0
    prompts: int = 0
    trainer_mode: str = "sync"
    actor_strategy: str = "fsdp"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_engine("dp", ("fsdp", "fsdp2"), self.actor_strategy)
        object.__setattr__(self, "resrl", resrl_settings(self.resrl, self.bypass_mode))


class ResRLFSDPMixin(ResRLEngineMixin, _FSDPEngine):
    """Where an FSDP engine has the tapped layer and its hidden states."""

    def _tapped_layer(self) -> nn.Module:
        assert self._resrl is not None
        check_logits(self._resrl.weighting, self.model_config.use_fused_kernels)
        num_layers = num_decoder_layers(self.model_config.hf_config)
        return find_decoder_layers(self.module, num_layers)[layer_index(self._resrl.layer, num_layers)]

    def _output_head(self) -> nn.Module:
        return output_head(self.module)

    def _has_whole_logits(self) -> bool:
        return not self.model_config.use_fused_kernels

    def prepare_model_outputs(
        self, output: Any, output_args: Any, micro_batch: TensorDict, logits_processor_func: Any
    ) -> Any:
        """Compute verl's outputs of a micro-batch and keep what was tapped of its response tokens."""
        packed = tu.get_non_tensor_data(data=micro_batch, key="use_remove_padding", default=True)
        head = self._head_of(output, output_args, packed)
        model_output = super().prepare_model_outputs(
            output=output,
            output_args=output_args,
            micro_batch=micro_batch,
            logits_processor_func=logits_processor_func,
        )
        if self._states is not None:
            assert self._tap is not None
            hidden = self._tap.take()
            if packed:
                hidden = self._gather_and_unpad_packed(hidden.squeeze(0), output_args["pad_size"])
                starts = micro_batch["input_ids"].offsets()[:-1].cpu()
            else:
                starts = torch.arange(hidden.shape[0]) * hidden.shape[1]
                hidden = hidden.flatten(0, 1)
            self._keep(hidden, head, starts, micro_batch)
        return model_output

    def _head_of(self, output: Any, output_args: Any, packed: bool) -> tuple[Tensor, Tensor] | None:
        """Inputs of the output head and predictions at all positions of a micro-batch, where they are wanted.

        verl gathers what sequence parallelism has spread, of logits only what it has made of them: so is it done here.
        """
        if self._head_states is None:
            return None
        assert self._head_tap is not None
        inputs, logits = self._head_tap.take(), output.logits
        temperature = output_args["temperature_rmpad"] if packed else output_args["temperature"]
        if not packed:
            temperature = temperature.repeat_interleave(logits.shape[1])
        predictions = self._head_states.predictions(logits.flatten(0, 1), temperature)
        if not packed:
            return inputs.flatten(0, 1), predictions
        gather, pad_size = self._gather_and_unpad_packed, output_args["pad_size"]
        return gather(inputs.squeeze(0), pad_size), gather(predictions, pad_size)


@EngineRegistry.register(model_type=MODEL_TYPE, backend=["fsdp", "fsdp2"], device=["cuda", "npu"])
class ResRLFSDPEngine(ResRLFSDPMixin, FSDPEngineWithLMHead):
    """ResRL on verl's FSDP and FSDP2 engine."""


@EngineRegistry.register(model_type=MODEL_TYPE, backend="fsdp2", device="cpu")
class ResRLCPUEngine(ResRLFSDPMixin, CPUEngineMixin, FSDPEngineWithLMHead):
    """ResRL on verl's FSDP2 engine on a CPU."""
