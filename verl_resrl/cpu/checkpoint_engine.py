# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoint engine "gloo": weights from the trainer's processes to rollout servers elsewhere on the same machine.

The trainer mode "separate_async" needs one; those of verl move tensors between accelerators. Rank 0 of the trainer
broadcasts one tensor after the other; a key-value store tells the names and shapes.
"""

import pickle
from collections.abc import AsyncGenerator, Iterable
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor
from torch.distributed import PrefixStore, ProcessGroupGloo, TCPStore
from verl.checkpoint_engine.base import CheckpointEngine, CheckpointEngineRegistry

TIMEOUT = timedelta(minutes=10)
OUTSIDE = -1  # rank of the trainer's other processes, which only help to gather their shards


@CheckpointEngineRegistry.register("gloo")
class GlooCheckpointEngine(CheckpointEngine):
    """See ``verl.checkpoint_engine.base.CheckpointEngine`` for what each method means.

    Args:
        bucket_size: of verl's other engines; tensors go one by one here.
        is_master: whether this is rank 0 of the trainer, which sends.
    """

    def __init__(self, bucket_size: int = 0, is_master: bool = False) -> None:
        self._is_master = is_master
        self._store: Any = None  # TCPStore
        self._group: Any = None  # ProcessGroupGloo, whose methods have no type hints

    def prepare(self) -> dict[str, Any]:
        """Open the store that the others will connect to."""
        if not self._is_master:
            return {}
        self._store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=TIMEOUT)
        return {"port": self._store.port}

    @classmethod
    def build_topology(
        cls, actor_wg_world_size: int, rollout_world_size: int, metadata: list[dict[str, Any]]
    ) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
        """Put rank 0 of the trainer and all rollout workers into one group."""
        size, port = 1 + rollout_world_size, metadata[0]["port"]

        def arguments(ranks: list[int]) -> dict[str, list[Any]]:
            return {"rank": ranks, "world_size": [size] * len(ranks), "port": [port] * len(ranks)}

        actors = [0] + [OUTSIDE] * (actor_wg_world_size - 1)
        return arguments(actors), arguments(list(range(1, size)))

    def init_process_group(self, **arguments: Any) -> None:
        """Join the group of this transfer; see ``build_topology`` for the arguments."""
        rank, world_size, port = (arguments[name] for name in ("rank", "world_size", "port"))
        if rank == OUTSIDE:
            return
        if self._store is None:
            self._store = TCPStore("127.0.0.1", port, is_master=False, timeout=TIMEOUT)
        self._group = ProcessGroupGloo(PrefixStore("gloo", self._store), rank, world_size, TIMEOUT)

    def finalize(self) -> None:
        """Leave the group."""
        self._group = self._store = None

    async def send_weights(self, weights: Iterable[tuple[str, Tensor]], global_steps: int | None = None) -> None:
        """Broadcast all weights; every process of the trainer walks through them because that gathers their shards."""
        count = 0
        for name, weight in weights:
            if self._group is None:
                continue
            tensor = weight.detach().cpu().contiguous()
            self._tell(count, (name, tensor.shape, tensor.dtype))
            self._group.broadcast([tensor]).wait()
            count += 1
        if self._group is not None:
            self._tell(count, None)

    async def receive_weights(  # type: ignore[override] # verl's hint is that of a coroutine
        self, global_steps: int | None = None
    ) -> AsyncGenerator[tuple[str, Tensor], None]:
        """Yield the weights as they arrive."""
        count = 0
        while (what := pickle.loads(self._store.get(str(count)))) is not None:
            name, shape, dtype = what
            tensor = torch.empty(shape, dtype=dtype)
            self._group.broadcast([tensor]).wait()
            count += 1
            yield name, tensor

    def _tell(self, number: int, what: Any) -> None:
        self._store.set(str(number), pickle.dumps(what))
