# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""What several trainings at a time say about themselves, and how it is shown."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

SECONDS_BETWEEN_LINES = 30.0


@dataclass
class Status:
    """What a thread says about its training; told that the study stops, it raises."""

    name: str
    stop: threading.Event
    text: str = ""
    done: int = 0
    total: int | None = None
    running: bool = False

    def update(self, done: int, total: int, note: str = "") -> None:
        """Take steps done, steps in all and a note."""
        self.done, self.total = done, total
        self._say(f"step {done}/{total}, {note}")

    def waiting(self, status: str) -> None:
        """Take a word on what it does."""
        self._say(status)

    def _say(self, text: str) -> None:
        self.text = text
        if self.stop.is_set():
            raise KeyboardInterrupt


class Board:
    """Shows all trainings that run: bars on a terminal, a line now and then elsewhere.

    Args:
        total: trainings in all.
        console: where to.
    """

    def __init__(self, total: int, console: Console) -> None:
        self._total, self._console, self._done = total, console, 0
        self._started = self._last_line = time.monotonic()
        columns = (TextColumn("{task.description}"), BarColumn(24), TextColumn("{task.fields[status]}"))
        self._bars = Progress(*columns, console=console, transient=True)
        self._all = self._bars.add_task("trainings", total=total, status="")
        self._of_runs: dict[str, TaskID] = {}

    def __enter__(self) -> "Board":
        if self._console.is_terminal:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def show(self, running: Sequence[Status]) -> None:
        """Show those that run now."""
        for name in self._of_runs.keys() - {status.name for status in running}:
            self._bars.remove_task(self._of_runs.pop(name))
        for status in running:
            if status.name not in self._of_runs:
                self._of_runs[status.name] = self._bars.add_task(status.name, total=None, status="")
            self._bars.update(self._of_runs[status.name], completed=status.done, total=status.total, status=status.text)
        now = time.monotonic()
        if not self._console.is_terminal and now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            self._print("; ".join(f"{status.name}: {status.text}" for status in running))

    def finished(self, line: str) -> None:
        """Count one that has ended, with a line about it."""
        self._done += 1
        minutes = (time.monotonic() - self._started) / self._done * (self._total - self._done) / 60
        note = f"{self._done}/{self._total}, {minutes:.0f} min left"
        self._bars.update(self._all, completed=self._done, status=note)
        self._print(f"({note}) {line}")

    def _print(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)
