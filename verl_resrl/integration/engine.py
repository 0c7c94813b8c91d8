# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""An engine of verl's with ResRL: tap -> token weights -> weighted advantages.

In the old_log_prob pass the engine taps one layer and returns ``resrl_weights`` beside the log-probabilities; in
the update it finds them in the batch again and multiplies the advantages. ``fsdp`` and ``megatron`` say where their
engine has that layer and where its hidden states lie. They register the result under a model type of its own, so that
runs without ResRL never touch it, when the configuration of a ResRL run causes their import.
"""

import time
from collections.abc import Callable
from typing import Any

import torch
from tensordict import TensorDict
from torch import Tensor, nn
from verl.utils import tensordict_utils as tu
from verl.utils.device import get_device_name

from verl_resrl.algorithm.config import NEED_LOGITS, ResRLConfig
from verl_resrl.algorithm.exchange import Exchange
from verl_resrl.algorithm.groups import NonFiniteError
from verl_resrl.integration.advantages import (
    OWN_ESTIMATOR,
    check_sessions,
    negative_advantage_scale,
    predicted_displacement,
    weighted_advantages,
)
from verl_resrl.integration.batch import Batch, read_batch
from verl_resrl.integration.batch_weights import nothing_weighed, weight_fields, weights_of_batch
from verl_resrl.integration.displacement import Displacement, Positives, positives
from verl_resrl.integration.failed_rewards import (
    GIVEN_UP,
    REWARD_FAILURES,
    Expected,
    MissingResponsesError,
    given_up,
    message,
)
from verl_resrl.integration.faults import GuardedEngineMixin, step_of
from verl_resrl.integration.head_tap import HeadStates, bytes_of_a_row, logit_cap
from verl_resrl.integration.metrics import fallback_metrics, group_metrics
from verl_resrl.integration.tap import HiddenStateTap, ResponseStates

_ROW = "resrl_row"  # number of a sequence in its batch, to recognise it in a micro-batch


class ResRLEngineMixin(GuardedEngineMixin):
    """ResRL on top of an engine of verl; see the module's text."""

    model_config: Any  # verl's engines set both
    engine_config: Any

    def __init__(self, model_config: Any, engine_config: Any, *args: Any, **kwargs: Any) -> None:
        model_config.model_type = "language_model"  # what the base class builds; ours is a name for the registry only
        super().__init__(model_config, engine_config, *args, **kwargs)  # type: ignore[call-arg]
        # the engine of a reference policy has verl's own settings: it stays as it is
        self._resrl: ResRLConfig | None = getattr(engine_config, "resrl", None)
        self._adv_estimator: str = getattr(engine_config, "adv_estimator", OWN_ESTIMATOR)
        # beside "sync", verl's trainers replace prompts of which a response failed
        replaced = getattr(engine_config, "trainer_mode", "sync") != "sync"
        self._expected = Expected(
            getattr(engine_config, "rollouts", 0), 0 if replaced else getattr(engine_config, "prompts", 0)
        )
        self._states: ResponseStates | None = None
        self._head_states: HeadStates | None = None
        self._metrics: dict[str, float] = {}
        self._moved: Positives | None = None
        self._displacement: Displacement | None = None

    def initialize(self) -> None:
        """Build the model as verl does and attach the tap."""
        super().initialize()
        layer = self._tapped_layer() if self._resrl is not None else None
        self._tap = None if layer is None else HiddenStateTap(layer)
        self._head_tap = HiddenStateTap(self._output_head()) if layer is not None and self._wants_head() else None

    def _wants_head(self) -> bool:
        """Whether interference is computed: it decides about weights, or a measurement is set beside it."""
        if self._resrl is None:
            return False
        return self._resrl.weighting in NEED_LOGITS or (self._resrl.measure_lld and self._has_whole_logits())

    def _tapped_layer(self) -> nn.Module | None:
        """The decoder layer whose input is wanted; None where another process of this replica has it."""
        raise NotImplementedError

    def _output_head(self) -> nn.Module:
        """The output head, on the process that has the tapped layer.

        Raises:
            ValueError: it cannot be told which one it is.
        """
        raise NotImplementedError

    def _has_whole_logits(self) -> bool:
        """Whether a process sees the whole distribution of a prediction."""
        raise NotImplementedError

    # -- old_log_prob pass ---------------------------------------------------------------------------------------

    def infer_batch(self, data: TensorDict, loss_function: Callable | None = None) -> Any:
        """Run the log-prob pass; the actor's first one on a batch also returns its ResRL weights.

        With LoRA, verl computes the reference policy's log-probabilities by a second call on the same batch, which
        has its weights already. Of the processes that share the model (sequence, tensor or context parallel), verl
        takes the output of one: it alone keeps hidden states and computes weights.
        """
        if self._resrl is None or self._tap is None or "resrl_weights" in data or "rm_scores" not in data:
            return super().infer_batch(data, loss_function)
        exchange = Exchange(self.get_data_parallel_group(), get_device_name())
        check_sessions(data, self._adv_estimator, exchange)
        batch = read_batch(data, self._resrl, exchange)
        missing = self._expected.missing(data, batch, exchange)
        if missing and self._resrl.on_failure == "stop":
            raise MissingResponsesError(message(missing, step_of(data)))
        judged = {REWARD_FAILURES: float(missing), GIVEN_UP: float(given_up(data, batch.padding, exchange))}
        self._displacement = self._moved = None
        if not batch.active.any():
            output = super().infer_batch(data, loss_function)
            self._metrics = group_metrics(batch, torch.zeros_like(batch.active), exchange)
            self._metrics |= judged
            nothing = nothing_weighed(batch, with_interference=self._head_tap is not None)
            output["model_output"].update(weight_fields(batch, nothing))
            return output

        states = ResponseStates(
            batch.prompt_lengths,
            batch.wanted,
            batch.response_lengths,
            self._resrl.hidden_state_at,
            self._resrl.hidden_offload,
        )
        data[_ROW] = torch.arange(len(batch.group_ids))
        head_states = None
        if self._head_tap is not None:
            responses = torch.cat([row.cpu() for row in data["responses"].unbind()])
            head_states = HeadStates(batch, responses, self._resrl, logit_cap(self.model_config.hf_config))
        self._states, self._head_states = states, head_states
        taps = [tap for tap in (self._tap, self._head_tap) if tap is not None]
        try:
            for tap in taps:
                tap.start()
            output = super().infer_batch(data, loss_function)
        finally:
            for tap in taps:
                tap.stop()
            self._states = self._head_states = None
            data.pop(_ROW)
        if self._resrl.measure_lld:
            self._moved = positives(data, batch, exchange)
        if not self.is_mp_src_rank_with_outputs():
            self._metrics = judged
            return output
        try:
            weights = self._weigh(batch, states, head_states, output["model_output"], exchange)
            self._metrics |= judged
        except NonFiniteError as error:
            raise self.non_finite_hidden_states(error, data) from None
        output["model_output"].update(weights)
        return output

    def _keep(self, hidden: Tensor, head: tuple[Tensor, Tensor] | None, starts: Tensor, data: TensorDict) -> None:
        """Keep what was tapped of the response tokens of a micro-batch.

        Args:
            hidden: (n, d), of all its positions.
            head: (n, d) inputs of the output head and (n, ...) predictions, where they are wanted.
            starts: (num_sequences,) int64 on the CPU, row at which each of its sequences begins.
            data: the micro-batch; has the number of each sequence in the whole batch.
        """
        assert self._states is not None
        if not self.is_mp_src_rank_with_outputs():
            return
        sequences = data[_ROW].cpu()
        self._states.store(hidden, sequences, starts, sum(map(bytes_of_a_row, head or ())))
        if self._head_states is not None:
            assert head is not None
            self._head_states.store(*head, sequences, starts)

    def _weigh(
        self,
        batch: Batch,
        states: ResponseStates,
        head_states: HeadStates | None,
        model_output: dict[str, Any],
        exchange: Exchange,
    ) -> dict[str, Tensor]:
        """Turn the hidden states that were kept into what verl's batch gets; also sets what the update reports."""
        assert self._resrl is not None
        begin = time.perf_counter()
        seed = self.engine_config.seed
        weighed, metrics = weights_of_batch(batch, states, head_states, model_output, self._resrl, seed, exchange)
        if self._moved is not None:
            log_probs = model_output["log_probs"]
            self._displacement = Displacement(self._moved, batch, states.sequence_ids, weighed, log_probs, exchange)
        fields = weight_fields(batch, weighed)
        metrics["resrl/seconds"] = time.perf_counter() - begin
        metrics["resrl/exchange_seconds"] = exchange.seconds
        metrics["resrl/exchange_gb"] = exchange.bytes_sent / 1e9
        self._metrics = metrics
        return fields

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
        outputs, failure = self.guarded_train_batch(weighted, plain, loss_function, self._resrl)
        metrics = outputs.get("metrics")
        if metrics is None:  # another process of this replica has the loss
            return outputs
        exchange = Exchange(self.get_data_parallel_group(), get_device_name())
        shift = self._shift.mean(exchange)
        if shift is not None:
            metrics["resrl/positive_logp_shift"] = [shift]
        own = self._metrics | fallback_metrics(self._metrics, failure, data["resrl_weights"], data["uid"], exchange)
        metrics.update({name: [value] for name, value in own.items()})
        metrics["resrl/negative_advantage_scale"] = [negative_advantage_scale(data, exchange)]
        predicted = predicted_displacement(data, self._resrl.positive_threshold, exchange)
        if predicted is not None:
            metrics["resrl/lld_predicted"] = [predicted]
        if self._moved is not None and tu.get_non_tensor_data(data, key="update_lr_scheduler", default=False):
            metrics.update({name: [value] for name, value in self._measure_displacement().items()})
        return outputs

    def _measure_displacement(self) -> dict[str, float]:
        """Run the positive sequences once more; verl's last mini-batch of a batch is the one that moves the rate."""
        assert self._moved is not None
        moved, self._moved = self._moved, None
        with self.eval_mode(disable_auto_offload=True):
            output = super().infer_batch(moved.data, None)
        displacement, self._displacement = self._displacement, None
        if displacement is None:  # another process of this replica has it
            return {}
        exchange = Exchange(self.get_data_parallel_group(), get_device_name())
        return displacement.metrics(output["model_output"]["log_probs"], exchange)
