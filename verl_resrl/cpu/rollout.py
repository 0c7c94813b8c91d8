# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Rollout "hf": generation with a Hugging Face model in a Ray actor, batch by batch.

HFServer    in server.py, the actor: samples for the requests that arrive together
HFReplica   launches one server per replica and hands it to verl
HFRollout   lives in the trainer's worker and sends it the new weights
"""

import os
from collections.abc import AsyncIterable, Iterable
from typing import Any

import ray
import torch
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from torch import Tensor
from verl.workers.rollout.base import BaseRollout
from verl.workers.rollout.replica import RolloutReplica
from verl.workers.rollout.utils import ensure_async_iterator

from verl_resrl.cpu.server import HFServer


def _server_name(replica_rank: int) -> str:
    return f"verl_resrl_hf_server_{replica_rank}"


class HFReplica(RolloutReplica):
    """One server of the rollout."""

    async def launch_servers(self) -> None:
        """Start the server and tell verl how to reach it."""
        actor_class: Any = ray.remote(HFServer)
        # beside the trainer's worker that sends its weights, as verl's own servers are
        node_id = await self.workers[0].__ray_call__.remote(lambda self: ray.get_runtime_context().get_node_id())
        options = {
            "name": _server_name(self.replica_rank),
            "max_concurrency": self.max_concurrency,
            "num_cpus": 0,
            "scheduling_strategy": NodeAffinitySchedulingStrategy(node_id, soft=False),
        }
        server = actor_class.options(**options).remote(self.config, self.model_config, self.replica_rank)
        self.servers = [server]
        self._server_handle = server
        self._server_address = await server.get_address.remote()


class HFRollout(BaseRollout):
    """The side of the weights: in the trainer's worker, or beside a server of its own (mode "separate_async").

    Args:
        replica_rank: of the server; by default that of this rank of the trainer.
    """

    def __init__(
        self, config: Any, model_config: Any, device_mesh: Any, replica_rank: int | None = None, **_: Any
    ) -> None:
        super().__init__(config, model_config, device_mesh)
        size = (
            self.config.tensor_model_parallel_size
            * self.config.data_parallel_size
            * self.config.pipeline_model_parallel_size
        )
        own_rank, rank_in_replica = divmod(int(os.environ["RANK"]), size)
        self._replica_rank = own_rank if replica_rank is None else replica_rank
        self._sends = rank_in_replica == 0
        self._server: Any = None

    async def resume(self, tags: list[str]) -> None:
        """Nothing was released."""

    async def release(self) -> None:
        """Weights stay in memory."""

    @torch.no_grad()
    async def update_weights(
        self,
        weights: Iterable[tuple[str, Tensor]] | AsyncIterable[tuple[str, Tensor]],
        wire_format: str = "named_tensors",
        global_steps: int | None = None,
        **_: Any,
    ) -> None:
        """Send all weights to the server; every rank walks through them because that gathers their shards.

        Raises:
            NotImplementedError: verl asks for another format than full named tensors.
        """
        if wire_format != "named_tensors":
            raise NotImplementedError(f"rollout hf takes full named tensors, not {wire_format!r}")
        tensors = {}
        async for name, tensor in ensure_async_iterator(weights):
            if self._sends:
                tensors[name] = tensor.detach().cpu().clone()
        if self._sends:
            self._server = self._server or ray.get_actor(_server_name(self._replica_rank))
            await self._server.update_weights.remote(tensors, global_steps=global_steps)
