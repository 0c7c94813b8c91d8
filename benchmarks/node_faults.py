# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""What befalls a training on two nodes, and what became of it."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from benchmarks.link import Link
from benchmarks.machines import Machine
from benchmarks.same_training import Comparison


class Progress(Protocol):
    """Who is told how far a training is."""

    def update(self, done: int, total: int, note: str = "") -> None:
        """Take steps done, steps in all and a note."""

    def waiting(self, status: str) -> None:
        """Take a word on what happens before the first step."""


@dataclass(frozen=True)
class Fault:
    """One of them.

    Attributes:
        name: in a few words.
        delay_ms: of the link, in each direction.
        mbit: of the link, a second.
        strikes: what happens once, in the middle of a step.
    """

    name: str
    delay_ms: float = 0
    mbit: float = 10_000
    strikes: Callable[[Sequence[Machine], Link], None] | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a training.

    Attributes:
        fault: its name.
        error: the line it ended with; empty if it reached its last step.
        seconds_to_error: from the fault to the end; 0 if it reached its last step.
        continued_from: last step of the attempt that failed; 0 if none did.
        found: the comparison of the finished training with an undisturbed one.
        exchange_mb: 10^6 bytes that a rank sent in the weights' exchange, the mean over steps and ranks.
        exchange_seconds: time of it, the mean over steps and ranks.
        step_seconds: time of a step after the first, the mean.
    """

    fault: str
    error: str
    seconds_to_error: float
    continued_from: int
    found: Comparison
    exchange_mb: float
    exchange_seconds: float
    step_seconds: float

    def row(self) -> str:
        """A line of a Markdown table; see ``HEAD``."""
        ended = f"after {self.seconds_to_error:.0f} s: `{self.error}`" if self.error else "reached its last step"
        again = f"from step {self.continued_from}" if self.error else "not needed"
        same = "equal to the bit" if self.found.same else "; ".join(self.found.lines())
        cells = (self.fault, ended, again, same, f"{self.exchange_mb:.3f}", f"{self.exchange_seconds:.2f}")
        return f"| {' | '.join([*cells, f'{self.step_seconds:.1f}'])} |"


HEAD = """\
| fault | the run | the same command again | weights and metrics | exchange, MB a step and rank | s | step, s |
|---|---|---|---|---|---|---|"""


class Striker:
    """Stands between a training and who shows its progress; strikes once after a step.

    Args:
        progress: shows it.
        after: the step whose metrics have just come: the next one has begun.
        strike: what to do then; it runs beside the training.
    """

    def __init__(self, progress: Progress, after: int, strike: Callable[[], None]) -> None:
        self._progress, self._after, self._strike = progress, after, strike
        self.thread: threading.Thread | None = None

    def update(self, done: int, total: int, note: str = "") -> None:
        """See ``Progress``."""
        self._progress.update(done, total, note)
        if done >= self._after and self.thread is None:
            self.thread = threading.Thread(target=self._strike)
            self.thread.start()

    def waiting(self, status: str) -> None:
        """See ``Progress``."""
        self._progress.waiting(status)
