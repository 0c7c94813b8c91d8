# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""ResRL on verl's Megatron engine: tensor, sequence, pipeline and context parallel.

The hidden states travel through verl's forward as one more output of the logits processor: verl itself then gathers
them over context-parallel ranks and takes out the padding, as it does with the log-probabilities.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from tensordict import TensorDict
from torch import Tensor, nn
from verl.utils.device import get_device_name
from verl.utils.megatron_utils import unwrap_model
from verl.workers.config import McoreEngineConfig
from verl.workers.engine import EngineRegistry
from verl.workers.engine.megatron.transformer_impl import MegatronEngineWithLMHead

from verl_resrl.algorithm.config import ResRLConfig
from verl_resrl.algorithm.exchange import Exchange
from verl_resrl.integration.advantages import OWN_ESTIMATOR
from verl_resrl.integration.engine import ResRLEngineMixin
from verl_resrl.integration.engine_settings import MODEL_TYPE, check_engine, check_logits, resrl_settings
from verl_resrl.integration.tap import layer_index

_HIDDEN, _HEAD_INPUTS, _PREDICTIONS = "resrl_hidden", "resrl_head_inputs", "resrl_predictions"
if TYPE_CHECKING:
    _MegatronEngine = MegatronEngineWithLMHead
else:
    _MegatronEngine = object  # mixed into one


@dataclass
class ResRLMegatronEngineConfig(McoreEngineConfig):
    """verl's Megatron settings and ours.

    Attributes:
        resrl: settings of ResRL; a mapping with the fields of ``ResRLConfig`` is converted.
        bypass_mode: whether verl skips the old_log_prob pass (``algorithm.rollout_correction.bypass_mode``).
        adv_estimator: ``algorithm.adv_estimator``.
        rollouts: ``actor_rollout_ref.rollout.n``; 0 if it is not known: then no response can be missing.
        prompts: ``data.train_batch_size``.
        trainer_mode: ``trainer.v1.trainer_mode``.
        actor_strategy: ``actor_rollout_ref.actor.strategy``.

    Raises:
        ValueError: a setting is out of range, the old_log_prob pass, which ResRL needs, is skipped, the actor runs on
            another engine, ``measure_lld`` is asked for with pipeline parallelism, or a weighting that needs whole
            logits where there are none.
    """

    resrl: Any = field(default_factory=ResRLConfig)
    bypass_mode: bool = False
    adv_estimator: str = OWN_ESTIMATOR
    rollouts: int = 0
    prompts: int = 0
    trainer_mode: str = "sync"
    actor_strategy: str = "megatron"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_engine("megatron", ("megatron",), self.actor_strategy)
        object.__setattr__(self, "resrl", resrl_settings(self.resrl, self.bypass_mode))
        check_logits(self.resrl.weighting, self.use_fused_kernels, self.tensor_model_parallel_size)
        if self.resrl.measure_lld and self.pipeline_model_parallel_size > 1:
            raise ValueError(
                "ResRL: resrl.measure_lld=True needs pipeline_model_parallel_size=1: its extra pass starts on the last "
                "stage alone"
            )


class ResRLMegatronMixin(ResRLEngineMixin, _MegatronEngine):
    """Where a Megatron engine has the tapped layer and its hidden states."""

    def _tapped_layer(self) -> nn.Module | None:
        """The wanted layer in the last chunk of the last pipeline stage, which also has the logits.

        Raises:
            ValueError: that chunk does not have it, or Megatron runs in a way that hides hidden states.
        """
        assert self._resrl is not None
        for name, why in (
            ("use_fused_kernels", "verl's fused forward has no place for hidden states"),
            ("dynamic_context_parallel", "ranks that share sequences change from micro-batch to micro-batch"),
        ):
            if getattr(self.engine_config, name):
                raise ValueError(f"ResRL with Megatron needs {name}=False: {why}")
        model = unwrap_model(self.module[-1])
        if not model.post_process:
            return None
        wanted = layer_index(self._resrl.layer, self.tf_config.num_layers) + 1  # Megatron counts from 1
        layers = getattr(model, "language_model", model).decoder.layers
        for layer in layers:
            if layer.layer_number == wanted:
                return layer
        raise ValueError(
            f"ResRL: layer {wanted} of {self.tf_config.num_layers} is not in the last chunk of the last pipeline "
            f"stage, which has {[layer.layer_number for layer in layers]}; choose another resrl.layer or layout"
        )

    def _output_head(self) -> nn.Module:
        model = unwrap_model(self.module[-1])
        return getattr(model, "language_model", model).output_layer

    def _has_whole_logits(self) -> bool:
        return self.engine_config.tensor_model_parallel_size == 1

    def _lm_head_logits_processor(
        self, logits: Tensor, label: Tensor, temperature: Tensor, **kwargs: Any
    ) -> dict[str, Tensor]:
        """Compute verl's outputs of a micro-batch and put what was tapped beside them.

        Args:
            logits: (batch, length, vocabulary of this rank); (1, packed length, ...) with remove-padding.
            label: (batch, length) the tokens that are predicted.
            temperature: (batch, length), 0 at padding; verl divides the logits by it in place.
            kwargs: passed on to verl's engine.
        """
        predictions = None
        if self._head_states is not None:
            predictions = self._head_states.predictions(logits.flatten(0, 1), temperature.flatten())
        outputs = super()._lm_head_logits_processor(logits, label, temperature, **kwargs)
        if self._states is not None:
            assert self._tap is not None
            hidden = self._tap.take()  # (length, batch, d), of this rank's part of the length if sequence parallel
            if self.tf_config.sequence_parallel:
                hidden = gather_sequence(hidden)
            outputs[_HIDDEN] = hidden.transpose(0, 1).contiguous()
        if predictions is not None:
            assert self._head_tap is not None
            outputs[_HEAD_INPUTS] = self._head_tap.take().transpose(0, 1).contiguous()
            outputs[_PREDICTIONS] = predictions.unflatten(0, label.shape)
        return outputs

    def _gradient_is_finite(self) -> bool:
        """Megatron would apply a gradient that is not finite; ``main_grad`` holds what a rank has of it."""
        bad = 0
        for parameter in (p for chunk in self.module for p in chunk.parameters() if p.requires_grad):
            gradient = getattr(parameter, "main_grad", None)
            gradient = parameter.grad if gradient is None else gradient
            if gradient is not None:
                bad += int(not torch.isfinite(gradient).all())
        return not Exchange(torch.distributed.group.WORLD, get_device_name()).sum(torch.tensor([bad])).item()

    def prepare_model_outputs(self, output: dict[str, Any], data: TensorDict) -> Any:
        """Take what was tapped out of a micro-batch's outputs and keep that of its response tokens."""
        hidden, inputs, predictions = (output.pop(name, None) for name in (_HIDDEN, _HEAD_INPUTS, _PREDICTIONS))
        if hidden is not None:
            head = None if inputs is None else (inputs.values(), predictions.values())
            self._keep(hidden.values(), head, hidden.offsets()[:-1].cpu(), data)
        return super().prepare_model_outputs(output, data)


def gather_sequence(hidden: Tensor, group: Any = None) -> Tensor:
    """Put the parts of a sequence-parallel tensor together, without gradient.

    Args:
        hidden: (length / ranks, batch, d).
        group: tensor-parallel ranks; Megatron's by default.

    Returns:
        (length, batch, d).
    """
    if group is None:
        from megatron.core import parallel_state

        group = parallel_state.get_tensor_model_parallel_group()
    whole = hidden.new_empty(hidden.shape[0] * torch.distributed.get_world_size(group), *hidden.shape[1:])
    torch.distributed.all_gather_into_tensor(whole, hidden.contiguous(), group=group)
    return whole


@EngineRegistry.register(model_type=MODEL_TYPE, backend="megatron")
class ResRLMegatronEngine(ResRLMegatronMixin, MegatronEngineWithLMHead):
    """ResRL on verl's Megatron engine."""
