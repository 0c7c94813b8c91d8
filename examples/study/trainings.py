# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Some trainings at a time: each is trained, then all of its checkpoints are evaluated; stopping stops them all."""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from process import child
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from settings import QuickstartError
from training import finished_step, train

POLL_SECONDS = 0.5
SECONDS_BETWEEN_LINES = 30.0


@dataclass(frozen=True)
class Training:
    """One run of a variant.

    Attributes:
        name: for people: variant and seed.
        folder: of the run.
        command: verl's.
        evaluation: command that evaluates every checkpoint of the folder.
        start_evaluation: folder of the evaluation of the model that all trainings start from.
        steps: of the training.
        save_every: steps between checkpoints; the last step has one too.
    """

    name: str
    folder: Path
    command: Sequence[str]
    evaluation: Sequence[str]
    start_evaluation: Path
    steps: int
    save_every: int

    def is_evaluated(self) -> bool:
        """Whether nothing is left to do."""
        steps = [*range(0, self.steps, self.save_every), self.steps]
        return all((self.folder / "evaluations" / f"step_{step}" / "summary.json").exists() for step in steps)


@dataclass
class _Status:
    """What a thread says about its training; told that the study stops, it raises."""

    name: str
    stop: threading.Event
    text: str = ""
    done: int = 0
    total: int | None = None
    running: bool = False

    def update(self, done: int, total: int, note: str = "") -> None:
        self.done, self.total = done, total
        self._say(f"step {done}/{total}, {note}")

    def waiting(self, status: str) -> None:
        self._say(status)

    def _say(self, text: str) -> None:
        self.text = text
        if self.stop.is_set():
            raise KeyboardInterrupt


def run_trainings(trainings: Sequence[Training], jobs: int, console: Console) -> list[str]:
    """Train and evaluate what has not been yet.

    Args:
        trainings: in the order in which to start them.
        jobs: how many at a time.
        console: shows the progress.

    Returns:
        One line for each training that failed.
    """
    left = [training for training in trainings if not training.is_evaluated()]
    if len(left) < len(trainings):
        console.print(f"{len(trainings) - len(left)} of {len(trainings)} trainings: done before", highlight=False)
    failures: list[str] = []
    stop, shares = threading.Event(), _shares_of_the_cores(jobs)
    with ThreadPoolExecutor(jobs, initializer=lambda: _stay_on(shares)) as pool, _Board(len(left), console) as board:
        statuses = [_Status(training.name, stop) for training in left]
        futures = {pool.submit(_run, *pair): pair[0].name for pair in zip(left, statuses, strict=True)}
        pending: set[Future[None]] = set(futures)
        try:
            while pending:
                finished, pending = wait(pending, POLL_SECONDS, return_when=FIRST_COMPLETED)
                board.show([status for status in statuses if status.running])
                for future in finished:
                    error = future.exception()
                    if isinstance(error, (QuickstartError, OSError)):
                        failures.append(f"{futures[future]}: {error}")
                        board.finished(f"{futures[future]} failed: {error}")
                    elif error is not None:
                        raise error
                    else:
                        board.finished(f"{futures[future]}: trained and evaluated")
        except BaseException:  # whatever it is, none of the trainings may go on unseen
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return failures


class _Board:
    """Shows all trainings that run: bars on a terminal, a line now and then elsewhere."""

    def __init__(self, total: int, console: Console) -> None:
        self._total, self._console, self._done = total, console, 0
        self._started = self._last_line = time.monotonic()
        columns = (TextColumn("{task.description}"), BarColumn(24), TextColumn("{task.fields[status]}"))
        self._bars = Progress(*columns, console=console, transient=True)
        self._all = self._bars.add_task("trainings", total=total, status="")
        self._of_runs: dict[str, TaskID] = {}

    def __enter__(self) -> "_Board":
        if self._console.is_terminal:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def show(self, running: "Sequence[_Status]") -> None:
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
        self._done += 1
        minutes = (time.monotonic() - self._started) / self._done * (self._total - self._done) / 60
        note = f"{self._done}/{self._total}, {minutes:.0f} min left"
        self._bars.update(self._all, completed=self._done, status=note)
        self._print(f"({note}) {line}")

    def _print(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


def _shares_of_the_cores(jobs: int) -> "SimpleQueue[set[int]]":
    """A set of cores for each job: threads of two trainings on one core would wait for each other all the time."""
    shares: SimpleQueue[set[int]] = SimpleQueue()
    if hasattr(os, "sched_getaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        for job in range(jobs):
            shares.put(set(cores[job::jobs]) or set(cores))
    return shares


def _stay_on(shares: "SimpleQueue[set[int]]") -> None:
    """Bind this thread, and with it the programs that it starts, to a share of the cores."""
    if not shares.empty():
        os.sched_setaffinity(0, shares.get())


def _run(training: Training, status: _Status) -> None:
    status.running = True
    try:
        _train_and_evaluate(training, status)
    finally:
        status.running = False


def _train_and_evaluate(training: Training, status: _Status) -> None:
    folder = training.folder
    folder.mkdir(parents=True, exist_ok=True)
    if finished_step(folder) < training.steps:
        train(training.command, folder, training.steps, status, keep_older=True)
    start = folder / "evaluations" / "step_0"
    if not start.exists():
        unfinished = start.with_name("start.tmp")
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(training.start_evaluation, unfinished)
        os.replace(unfinished, start)
    call(training.evaluation, folder / "evaluation.log", lambda: status.waiting("evaluating its checkpoints"))


def call(command: Sequence[str], log: Path, waiting: Callable[[], None]) -> None:
    """Run ``resrl`` as a user would.

    Args:
        command: what follows ``resrl``.
        log: file that its output goes to.
        waiting: called twice a second; what it raises stops the program.

    Raises:
        QuickstartError: it failed.
    """
    program = [str(Path(sys.executable).with_name("resrl")), *command]
    seen = log.stat().st_size if log.exists() else 0
    with child(program, os.environ, log.parent, log) as process:
        while True:
            try:
                code = process.wait(POLL_SECONDS)
                break
            except subprocess.TimeoutExpired:
                waiting()
    if code:
        lines = log.read_bytes()[seen:].decode(errors="replace").splitlines() or ["it wrote nothing"]
        raise QuickstartError(f"resrl {command[0]} ended with {code}: {lines[-1]} (its log: {log})")
