# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""What happens in a process that judges answers to mathematics: its limits, which end it, and the judging."""

import logging
import resource
import signal
from collections.abc import Callable
from typing import TypeVar

from verl_resrl.tasks.math_equal import equal
from verl_resrl.tasks.math_grader import Grade, grade

Result = TypeVar("Result")


class Unjudged(Exception):
    """What judges an answer failed on it; the message says how."""


def start(extra_bytes: int) -> None:
    """Prepare this process: bound its memory, and judge once, so that no answer pays for what is built at first use.

    Where the system does not say what memory the process has, nothing is bound.

    Args:
        extra_bytes: of memory that it may allocate beyond what it has already.
    """
    logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns about each switched off time limit
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # ends the process, whatever it computes
    grade(r"\boxed{\frac{1}{2}}", "0.5")
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            used = next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmData"))
    except (OSError, StopIteration):  # not Linux
        return
    resource.setrlimit(resource.RLIMIT_DATA, (used + extra_bytes, used + extra_bytes))


def compare(first: str, second: str, seconds: float) -> bool:
    """Whether two answers are one, whichever of them were right; this process ends as in ``judge``.

    Args:
        first: an answer, without what marks it.
        second: another.
        seconds: of computing.

    Raises:
        Unjudged: the comparison fails on them.
    """
    return _within(seconds, lambda: equal(first, second) or equal(second, first))


def judge(response: str, gold: str, seconds: float) -> Grade:
    """Judge an answer; if that takes more computing time, this process ends here.

    Args:
        response: the model's text, or its end.
        gold: the right answer.
        seconds: of computing, not of waiting: of a machine that is busy a process gets a share only.

    Raises:
        Unjudged: the grader fails on it.
    """
    return _within(seconds, lambda: grade(response, gold))


def _within(seconds: float, work: Callable[[], Result]) -> Result:
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        return work()
    except MemoryError:
        raise
    except Exception as error:  # whatever three libraries may raise on what a model writes
        raise Unjudged(f"{type(error).__name__}: {error}") from None
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
