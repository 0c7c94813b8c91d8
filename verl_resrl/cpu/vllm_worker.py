# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""New weights for a vLLM on a CPU: verl's extension of its worker, for ``+device=cpu rollout=vllm``.

On a CPU, vLLM's linear layers keep packed copies of their weights and drop the weights, so that verl loads into
parameters that are no longer there. vLLM's own ``reload_weights`` brings them back, loads, and packs again.
"""

from typing import Any

import torch
from torch import Tensor
from verl.workers.rollout.vllm_rollout.bucketed_weight_transfer import BucketedWeightReceiver
from verl.workers.rollout.vllm_rollout.utils import vLLMColocateWorkerExtension


class CPUWorkerExtension(vLLMColocateWorkerExtension):
    """verl's extension of vLLM's worker, for ``rollout.engine_kwargs.vllm.worker_extension_cls``."""

    model_runner: Any  # of vLLM's worker, into which this class is mixed

    def update_weights_from_ipc(
        self, peft_config: dict[str, Any] | None = None, base_sync_done: bool = False, use_shm: bool = False
    ) -> None:
        """Receive all weights, then load them; see verl's method.

        verl loads each part while the sender waits for its receipt, and a failure leaves the sender waiting for ever.
        Here nothing that can fail comes before the last receipt, so that a failure ends the run.

        Args:
            peft_config: of the LoRA adapter, if there is one.
            base_sync_done: whether these are the weights of the adapter alone.
            use_shm: whether they come through shared memory.

        Raises:
            NotImplementedError: they are those of a LoRA adapter, or of a model with one.
        """
        weights: dict[str, Tensor] = {}

        def keep(bucket: list[tuple[str, Tensor]], is_last: bool) -> None:
            weights.update((name, tensor.clone()) for name, tensor in bucket)  # views of the sender's memory

        BucketedWeightReceiver(self._get_zmq_handle(), torch.device("cpu"), use_shm).receive_weights(keep)
        if peft_config:
            raise NotImplementedError(
                "verl cannot load LoRA adapters into this vLLM: set actor_rollout_ref.model.lora.merge=True"
            )
        self.model_runner.reload_weights(weights_iterator=iter(weights.items()))
