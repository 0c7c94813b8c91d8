# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Which phase of how many, which step of it, how many seconds are left: a bar on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

SECONDS_BETWEEN_LINES = 10.0


class Phases:
    """Announces the phases of a run one after the other.

    Args:
        total: number of phases.
        console: where to write.
        clock: seconds, for tests.
    """

    def __init__(self, total: int, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._total = total
        self._console = console
        self._clock = clock
        self._number = 0

    def cached(self, name: str, note: str) -> None:
        """Tell of a phase that an earlier run has finished."""
        self._console.print(f"{self._next()} {name}: {note} (done before)", highlight=False, markup=False)

    @contextmanager
    def phase(self, name: str) -> Iterator["Phase"]:
        """Show a phase while the body runs and say how long it took.

        Args:
            name: of the phase.
        """
        title = f"{self._next()} {name}"
        start = self._clock()
        with Phase(title, self._console, self._clock) as phase:
            yield phase
        note = f", {phase.note}" if phase.note else ""
        self._console.print(f"{title}: {self._clock() - start:.0f} s{note}", highlight=False, markup=False)

    def _next(self) -> str:
        self._number += 1
        return f"({self._number}/{self._total})"


class Phase:
    """A phase that is running; ``update`` it as often as you like."""

    def __init__(self, title: str, console: Console, clock: Callable[[], float]) -> None:
        self.note = ""
        self._title, self._console, self._clock = title, console, clock
        self._first: _Reached | None = None
        self._newest: _Reached | None = None
        self._started = self._last_line = clock()
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        if console.is_terminal:
            title_column, status = (
                TextColumn(text, markup=False) for text in ("{task.description}", "{task.fields[status]}")
            )
            self._bar = Progress(title_column, BarColumn(24), status, console=console, transient=True)
            self._task = self._bar.add_task(title, total=None, status="starting")

    def __enter__(self) -> "Phase":
        if self._bar is None:
            self._console.print(f"{self._title} ...", highlight=False, markup=False)
        else:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, done: int, total: int, note: str = "") -> None:
        """Report progress.

        Args:
            done: steps done so far; the rate counts from the first report, not from the start of the phase.
            total: steps in all.
            note: what else to show, such as the reward.
        """
        self.note = note
        if self._newest is None or done != self._newest.done:
            self._newest = _Reached(done, self._clock())
        if self._first is None:
            self._first = self._newest
        left = _left(self._first, self._newest, total, self._clock())
        self._show(", ".join(filter(None, (f"{done}/{total}", note, left))), done, total)

    def waiting(self, status: str) -> None:
        """Report that something without steps is going on.

        Args:
            status: what is going on.
        """
        self._show(f"{status} ({self._clock() - self._started:.0f} s)")

    def _show(self, status: str, done: int | None = None, total: int | None = None) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=total, status=status)
        elif self._clock() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = self._clock()
            self._console.print(f"{self._title}: {status}", highlight=False, markup=False)


@dataclass(frozen=True)
class _Reached:
    """Steps done, and the seconds of the clock at which that was first reported."""

    done: int
    at: float


def _left(first: _Reached, newest: _Reached, total: int, now: float) -> str:
    """Seconds left at the rate so far; they go down while the next step is made."""
    if newest.done <= first.done:
        return ""
    seconds_a_step = (newest.at - first.at) / (newest.done - first.done)
    seconds = seconds_a_step * (total - newest.done) - (now - newest.at)
    return f"{max(0.0, seconds):.0f} s left"
