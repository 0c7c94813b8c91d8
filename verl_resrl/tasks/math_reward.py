# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Reward of mathematics: math-verify, with a limit of time and memory for each answer.

Model output can keep a computer algebra system busy for ever (``9^{9^{9}}``). math-verify's own time limit is a signal,
which works in a main thread only, and which a long multiplication of integers does not notice. Here answers are judged
in processes of their own, which pebble kills and replaces.

verl finds it as ``reward.custom_reward_function.path=pkg://verl_resrl.tasks.math_reward``.
"""

import atexit
import os
import threading
from concurrent.futures import TimeoutError as FutureTimeout
from multiprocessing import get_context

from pebble import ProcessExpired, ProcessPool

from verl_resrl.tasks.math_grader import TAIL_CHARS, Grade, grade, limit_memory

WORKERS = 2  # processes for each process that asks; verl has reward.num_workers (8) of those
MEMORY_BYTES = 1 << 30  # that a worker may use beyond what its libraries take
TIME_LIMIT = 5.0  # seconds

_pools: dict[int, ProcessPool] = {}
_lock = threading.Lock()


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: dict | None = None,
    time_limit: float = TIME_LIMIT,
    **kwargs: object,
) -> dict[str, float | str]:
    """Reward function with the signature that verl's reward managers call; safe to call from any thread.

    Args:
        data_source: unused, part of verl's signature.
        solution_str: the model's text; nothing in it can raise.
        ground_truth: the right answer, LaTeX or plain text.
        extra_info: unused, part of verl's signature.
        time_limit: seconds for this answer, ``reward.custom_reward_function.reward_kwargs.time_limit`` in verl.
        **kwargs: unused, part of verl's signature.

    Returns:
        ``score`` and ``acc``: 1.0 for the right answer, else 0.0. ``pred``: the answer as it is written, shortened.
        ``gave_up``: 1.0 if it took too much time or memory to judge, which counts as wrong.

    Raises:
        ValueError: the ground truth is empty or no text.
    """
    if not isinstance(ground_truth, str) or not ground_truth.strip():
        raise ValueError(f"math reward: ground_truth must be a text with the right answer, got {ground_truth!r}")
    gave_up = False
    try:
        result: Grade = (
            _pool().schedule(grade, args=(solution_str[-TAIL_CHARS:], ground_truth), timeout=time_limit).result()
        )
    except (FutureTimeout, ProcessExpired, MemoryError):
        gave_up, result = True, Grade(False, "")
    return {"score": float(result.right), "acc": float(result.right), "pred": result.pred, "gave_up": float(gave_up)}


def _pool() -> ProcessPool:
    """The workers of this process; a process that was forked needs its own."""
    with _lock:
        pool = _pools.get(os.getpid())
        if pool is None or not pool.active:
            # spawned, not forked: a copy of a process with threads may hang
            pool = ProcessPool(
                max_workers=WORKERS, context=get_context("spawn"), initializer=limit_memory, initargs=(MEMORY_BYTES,)
            )
            _pools[os.getpid()] = pool
    return pool


@atexit.register
def _stop() -> None:
    pool = _pools.pop(os.getpid(), None)
    if pool is not None:
        pool.stop()
        pool.join()
