# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""verl's FSDP engine with ResRL: tap -> token weights -> weighted advantages.

In the old_log_prob pass the engine taps one layer and returns ``resrl_weights`` beside the log-probabilities; in
the update it finds them in the batch again and multiplies the advantages. Registered under a model type of its own,
so that runs without ResRL never touch it, and by the import of this module, which only the configuration of a ResRL
run causes (``actor_rollout_ref.actor.fsdp_config._target_``).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from tensordict import TensorDict
from verl.utils import tensordict_utils as tu
from verl.utils.device import get_device_name
from verl.workers.config import FSDPEngineConfig
from verl.workers.engine import EngineRegistry
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead

from verl_resrl.config import ResRLConfig
from verl_resrl.cpu.engine import CPUEngineMixin
from verl_resrl.exchange import Exchange
from verl_resrl.integration.advantages import OWN_ESTIMATOR, check_sessions, weighted_advantages
from verl_resrl.integration.batch import Batch, per_response_token, read_batch
from verl_resrl.integration.faults import GuardedEngineMixin
from verl_resrl.integration.metrics import fallback_metrics, group_metrics, weight_metrics
from verl_resrl.integration.policy_loss import POSITIVE_TOKENS, SHIFT_SUM
from verl_resrl.integration.tap import HiddenStateTap, ResponseStates, find_last_decoder_layer
from verl_resrl.sampling import hash64
from verl_resrl.weights import NonFiniteError, token_weights

MODEL_TYPE = "resrl"
_ROW = "resrl_row"  # number of a sequence in its batch, to recognise it in a micro-batch
if TYPE_CHECKING:

    class _FSDPEngine(GuardedEngineMixin, FSDPEngineWithLMHead):  # type: ignore[misc]
        """What the mixin is mixed into."""

else:
    _FSDPEngine = GuardedEngineMixin


@dataclass
class ResRLFSDPEngineConfig(FSDPEngineConfig):
    """verl's FSDP settings and ours.

    Attributes:
        resrl: settings of ResRL; a mapping with the fields of ``ResRLConfig`` is converted.
        bypass_mode: whether verl skips the old_log_prob pass (``algorithm.rollout_correction.bypass_mode``).
        adv_estimator: ``algorithm.adv_estimator``.

    Raises:
        ValueError: a setting is out of range, or the old_log_prob pass, which ResRL needs, is skipped.
    """

    resrl: Any = field(default_factory=ResRLConfig)
    bypass_mode: bool = False
    adv_estimator: str = OWN_ESTIMATOR

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bypass_mode:
            raise ValueError(
                "ResRL takes its hidden states from the old_log_prob pass, which bypass mode skips: set "
                "algorithm.rollout_correction.bypass_mode=False (decoupled mode works), or use another +method="
            )
        if not isinstance(self.resrl, ResRLConfig):
            object.__setattr__(self, "resrl", ResRLConfig(**self.resrl))


class ResRLEngineMixin(_FSDPEngine):
    """ResRL on top of an FSDP engine of verl; see the module's text."""

    def __init__(self, model_config: Any, engine_config: Any, *args: Any, **kwargs: Any) -> None:
        model_config.model_type = "language_model"  # what the base class builds; ours is a name for the registry only
        super().__init__(model_config, engine_config, *args, **kwargs)
        # the engine of a reference policy has verl's own settings: it stays as it is
        self._resrl: ResRLConfig | None = getattr(engine_config, "resrl", None)
        self._adv_estimator: str = getattr(engine_config, "adv_estimator", OWN_ESTIMATOR)
        self._states: ResponseStates | None = None
        self._metrics: dict[str, float] = {}

    def initialize(self) -> None:
        """Build the model as verl does and attach the tap."""
        super().initialize()
        if self._resrl is None:
            return
        hf_config = self.model_config.hf_config
        text_config = hf_config.get_text_config()
        layer = find_last_decoder_layer(self.module, text_config.num_hidden_layers)
        self._tap = HiddenStateTap(layer)

    # -- old_log_prob pass ---------------------------------------------------------------------------------------

    def infer_batch(self, data: TensorDict, loss_function: Callable | None = None) -> Any:
        """Run the log-prob pass; the actor's first one on a batch also returns its ResRL weights.

        With LoRA, verl computes the reference policy's log-probabilities by a second call on the same batch, which
        has its weights already.
        """
        if self._resrl is None or "resrl_weights" in data or "rm_scores" not in data:
            return super().infer_batch(data, loss_function)
        exchange = Exchange(self.get_data_parallel_group(), get_device_name())
        check_sessions(data, self._adv_estimator, exchange)
        batch = read_batch(data, self._resrl, exchange)
        if not batch.active.any():
            output = super().infer_batch(data, loss_function)
            self._metrics = group_metrics(batch, torch.zeros_like(batch.active), exchange)
            nothing = torch.empty(0)
            output["model_output"].update(_model_output(batch, nothing, nothing, nothing))
            return output

        states = ResponseStates(batch.prompt_lengths, batch.wanted, batch.response_lengths)
        data[_ROW] = torch.arange(len(batch.group_ids))
        self._states = states
        self._tap.start()
        try:
            output = super().infer_batch(data, loss_function)
        finally:
            self._tap.stop()
            self._states = None
            data.pop(_ROW)
        try:
            output["model_output"].update(self._compute_weights(batch, states, exchange))
        except NonFiniteError as error:
            raise self.non_finite_hidden_states(error, data) from None
        return output

    def prepare_model_outputs(
        self, output: Any, output_args: Any, micro_batch: TensorDict, logits_processor_func: Any
    ) -> Any:
        """Compute verl's outputs of a micro-batch and keep the tapped hidden states of its response tokens."""
        model_output = super().prepare_model_outputs(
            output=output,
            output_args=output_args,
            micro_batch=micro_batch,
            logits_processor_func=logits_processor_func,
        )
        if self._states is not None:
            hidden = self._tap.take()
            offsets = micro_batch["input_ids"].offsets().cpu()
            if tu.get_non_tensor_data(data=micro_batch, key="use_remove_padding", default=True):
                hidden = self._gather_and_unpad_packed(hidden.squeeze(0), output_args["pad_size"])
                starts = offsets[:-1]
            else:
                starts = torch.arange(hidden.shape[0]) * hidden.shape[1]
                hidden = hidden.flatten(0, 1)
            self._states.store(hidden, micro_batch[_ROW].cpu(), starts)
        return model_output

    def _compute_weights(self, batch: Batch, states: ResponseStates, exchange: Exchange) -> dict[str, torch.Tensor]:
        assert self._resrl is not None
        begin = time.perf_counter()
        hidden = states.hidden()
        device = hidden.device
        out = token_weights(
            hidden if hidden.dtype == torch.bfloat16 else hidden.float(),
            states.sequence_ids.to(device),
            batch.group_ids.to(device),
            batch.positive.to(device),
            config=self._resrl,
            seed=self.engine_config.seed,
            token_keys=hash64(batch.sequence_keys[states.sequence_ids], states.positions).to(device),
            exchange=exchange,
        )
        negative = ~batch.positive[states.sequence_ids].to(device)
        self._metrics = group_metrics(batch, out.non_finite.cpu(), exchange)
        self._metrics |= weight_metrics(negative, out, hidden.shape[1], exchange)
        result = _model_output(batch, out.weights, out.residual, out.alignment)
        self._metrics["resrl/seconds"] = time.perf_counter() - begin
        self._metrics["resrl/exchange_seconds"] = exchange.seconds
        self._metrics["resrl/exchange_gb"] = exchange.bytes_sent / 1e9
        return result

    # -- update --------------------------------------------------------------------------------------------------

    def train_batch(self, data: TensorDict, loss_function: Callable) -> Any:
        """Update on one mini-batch with the advantages of negative tokens multiplied by their weights.

        Raises:
            RuntimeError: the batch has no weights because its old_log_prob pass did not run here.
        """
        if self._resrl is None:
            return super().train_batch(data, loss_function)
        if "resrl_weights" not in data:
            raise RuntimeError(
                "ResRL: the batch has no resrl_weights, because its old_log_prob pass did not run in this engine or "
                "had no rewards (rm_scores); keep algorithm.rollout_correction.bypass_mode=False"
            )
        weighted, plain = data.copy(), data.copy()  # shallow: verl may use the mini-batch again
        for copy, weights in ((weighted, data["resrl_weights"]), (plain, None)):
            copy["advantages"] = weighted_advantages(data, weights, self._resrl, self._adv_estimator)
        scale = _negative_scale(data["advantages"].values(), data["resrl_weights"].values())
        outputs, failure = self.guarded_train_batch(weighted, plain, loss_function, self._resrl.on_failure)
        metrics = outputs["metrics"]
        self._report_shift(metrics)
        exchange = Exchange(self.get_data_parallel_group(), get_device_name())
        own = self._metrics | fallback_metrics(self._metrics, failure, data["resrl_weights"], data["uid"], exchange)
        metrics.update({name: [value] for name, value in own.items()})
        metrics["resrl/negative_advantage_scale"] = [scale]
        return outputs

    def _report_shift(self, metrics: dict[str, Any]) -> None:
        """Turn the sums of the policy loss into one mean over the tokens of positive sequences."""
        if SHIFT_SUM not in metrics:
            return
        total, tokens = (sum(metrics.pop(name).values) for name in (SHIFT_SUM, POSITIVE_TOKENS))
        if tokens:
            metrics["resrl/positive_logp_shift"] = [total / tokens]


def _model_output(
    batch: Batch, weights: torch.Tensor, residual: torch.Tensor, alignment: torch.Tensor
) -> dict[str, torch.Tensor]:
    """What goes beside the log-probabilities into verl's batch: one value per response token, jagged."""
    return {
        "resrl_weights": per_response_token(weights, batch, fill=1.0),
        "resrl_residual": per_response_token(residual, batch, fill=torch.nan),
        "resrl_alignment": per_response_token(alignment, batch, fill=torch.nan),
    }


def _negative_scale(advantages: torch.Tensor, weights: torch.Tensor) -> float:
    """Share of the negative advantage that the weights leave: sum |w A| / sum |A| over tokens with A < 0."""
    size = advantages.clamp(max=0).abs()
    total = size.sum()
    return float((size * weights).sum() / total) if total > 0 else 1.0


@EngineRegistry.register(model_type=MODEL_TYPE, backend=["fsdp", "fsdp2"], device=["cuda", "npu"])
class ResRLFSDPEngine(ResRLEngineMixin, FSDPEngineWithLMHead):
    """ResRL on verl's FSDP and FSDP2 engine."""


@EngineRegistry.register(model_type=MODEL_TYPE, backend="fsdp2", device="cpu")
class ResRLCPUEngine(ResRLEngineMixin, CPUEngineMixin, FSDPEngineWithLMHead):
    """ResRL on verl's FSDP2 engine on a CPU."""
