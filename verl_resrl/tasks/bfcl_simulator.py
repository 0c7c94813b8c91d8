# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Run BFCL's simulated APIs in processes of their own, with limits on time and memory.

A call with literal arguments can still ask for too much, such as 9 ** 9 ** 9: a process that exceeds a limit is killed
and replaced. Processes keep no state: a trajectory is replayed from its start for every step, which takes milliseconds
and lets one process serve any number of trajectories.
"""

import asyncio
import atexit
import functools
import importlib
import multiprocessing
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path
from typing import Any, TypeVar

from pebble import ProcessExpired, ProcessPool

from verl_resrl.tasks.bfcl import Task, Turn, Verdict, execute, score

TIME_LIMIT = 30.0  # seconds for all calls of a trajectory, which take milliseconds on an idle machine
MEMORY_LIMIT = 1 << 30  # bytes beyond what the process has at its start
Result = TypeVar("Result")


class LimitExceeded(Exception):
    """The calls of a trajectory took too much time or memory."""


class Simulator:
    """A pool of processes that execute and score trajectories.

    Args:
        workers: number of processes.
        time_limit: seconds.
        memory_limit: bytes.
    """

    def __init__(self, workers: int = 1, time_limit: float = TIME_LIMIT, memory_limit: int = MEMORY_LIMIT) -> None:
        self._time_limit = time_limit
        self._pool = ProcessPool(
            max_workers=workers,
            initializer=_start_process,
            initargs=[memory_limit],
            context=multiprocessing.get_context("spawn"),  # the parent has threads
        )

    async def execute(self, task: Task, turns: Sequence[Turn]) -> list[str]:
        """See ``bfcl.execute``.

        Raises:
            LimitExceeded: too much time or memory.
        """
        return await self._run(execute, task, turns)

    async def score(self, task: Task, turns: Sequence[Turn], ground_truth: Sequence[Sequence[str]]) -> Verdict:
        """See ``bfcl.score``; a trajectory that exceeds a limit is wrong."""
        try:
            return await self._run(score, task, turns, ground_truth)
        except LimitExceeded:
            return Verdict(False, "limit_exceeded")

    async def _run(self, function: Callable[..., Result], *arguments: Any) -> Result:
        future = self._pool.schedule(function, args=list(arguments), timeout=self._time_limit)
        try:
            return await asyncio.wrap_future(future)
        # asyncio turns the first into the second, which is another one before Python 3.11
        except (FutureTimeoutError, asyncio.TimeoutError, ProcessExpired, MemoryError) as error:
            raise LimitExceeded(f"{arguments[0].id}: {type(error).__name__}") from None

    def close(self) -> None:
        """Stop the processes."""
        self._pool.stop()
        self._pool.join()


@functools.cache
def shared_simulator() -> Simulator:
    """The simulator of this process."""
    simulator = Simulator()
    atexit.register(simulator.close)
    return simulator


def _start_process(extra: int) -> None:
    for name in ("mpmath", "bfcl_eval.eval_checker.multi_turn_eval.multi_turn_checker"):
        importlib.import_module(name)  # before the limits apply
    if sys.platform != "linux":
        return
    import resource

    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * resource.getpagesize() + extra
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
