# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Reward of mathematics: math-verify, with a limit of computing time and memory for each answer.

Model output can keep a computer algebra system busy for ever (``9^{9^{9}}``), and Python's signals do not reach a long
multiplication of integers. Here answers are judged in processes of their own, which the kernel ends at their limit
(``math_worker``) and pebble replaces. A limit of waiting would give up right answers on a machine that is busy.

verl finds it as ``reward.custom_reward_function.path=pkg://verl_resrl.tasks.math_reward``.
"""

import atexit
import logging
import os
import threading
from concurrent.futures import TimeoutError as FutureTimeout
from multiprocessing import get_context

from pebble import ProcessExpired, ProcessPool

from verl_resrl.tasks.math_gold import check_ground_truth
from verl_resrl.tasks.math_grader import TAIL_CHARS, Grade
from verl_resrl.tasks.math_worker import Unjudged, compare, judge, start

logger = logging.getLogger(__name__)

WORKERS = 2  # processes for each process that asks; verl has reward.num_workers (8) of those
MEMORY_BYTES = 1 << 30  # that a worker may use beyond what its libraries take
TIME_LIMIT = 5.0  # seconds of computing
STUCK_SECONDS = 900.0  # after which a worker that neither computes nor answers is replaced

_pools: dict[int, ProcessPool] = {}
_lock = threading.Lock()


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: object,
    extra_info: dict | None = None,
    time_limit: float = TIME_LIMIT,
    **kwargs: object,
) -> dict[str, float | str]:
    """Reward function with the signature that verl's reward managers call; safe to call from any thread.

    Args:
        data_source: unused, part of verl's signature.
        solution_str: the model's text; nothing in it can raise.
        ground_truth: the right answer, as ``math_gold.check_ground_truth`` takes it; ``resrl eval`` calls that for
            every row that it reads.
        extra_info: unused, part of verl's signature.
        time_limit: seconds of computing for this answer, ``reward.custom_reward_function.reward_kwargs.time_limit`` in
            verl.
        **kwargs: unused, part of verl's signature.

    Returns:
        ``score`` and ``acc``: 1.0 for the right answer, else 0.0. ``pred``: the answer as it is written, shortened.
        ``gave_up``: 1.0 if it could not be judged, by the limits of time and memory or, with a warning, because the
        judge fails on it, which counts as wrong; verl averages it into the metric
        ``val-aux/<data source>/gave_up/mean@<n>``.

    Raises:
        ValueError: of ``check_ground_truth``.
    """
    gold, gave_up = check_ground_truth(ground_truth), False
    arguments = (solution_str[-TAIL_CHARS:], gold, time_limit)
    try:
        result: Grade = _pool().schedule(judge, args=arguments, timeout=STUCK_SECONDS).result()
    except (FutureTimeout, ProcessExpired, MemoryError):
        gave_up, result = True, Grade(False, "")
    except Unjudged as error:
        end = arguments[0][-200:]
        logger.warning("an answer to %r counts as wrong, the judge fails on it (%s): %r", gold, error, end)
        gave_up, result = True, Grade(False, "")
    return {"score": float(result.right), "acc": float(result.right), "pred": result.pred, "gave_up": float(gave_up)}


def same_answer(first: str, second: str) -> bool:
    """Whether two answers are one, by the comparison of the reward: ``1/2`` and ``0.5``; safe to call from any thread.

    Args:
        first: ``pred`` of a response.
        second: of another.

    Returns:
        False also if it takes too much time or memory to say, and, with a warning, if the comparison fails.
    """
    try:
        return bool(_pool().schedule(compare, args=(first, second, TIME_LIMIT), timeout=STUCK_SECONDS).result())
    except (FutureTimeout, ProcessExpired, MemoryError):
        return False
    except Unjudged as error:
        logger.warning("%r and %r count as different answers, their comparison fails (%s)", first, second, error)
        return False


def _pool() -> ProcessPool:
    """The workers of this process; a process that was forked needs its own."""
    with _lock:
        pool = _pools.get(os.getpid())
        if pool is None or not pool.active:
            # spawned, not forked: a copy of a process with threads may hang
            pool = ProcessPool(
                max_workers=WORKERS, context=get_context("spawn"), initializer=start, initargs=(MEMORY_BYTES,)
            )
            _pools[os.getpid()] = pool
    return pool


@atexit.register
def _stop() -> None:
    pool = _pools.pop(os.getpid(), None)
    if pool is not None:
        pool.stop()
        pool.join()
