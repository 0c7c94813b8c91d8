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
from dataclasses import dataclass, field
from pathlib import Path

from process import child
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from settings import QuickstartError
from training import finished_step, train

POLL_SECONDS = 0.5


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
        checkpoints: number of them.
    """

    name: str
    folder: Path
    command: Sequence[str]
    evaluation: Sequence[str]
    start_evaluation: Path
    steps: int
    checkpoints: int

    def is_evaluated(self) -> bool:
        """Whether nothing is left to do."""
        return len(list((self.folder / "evaluations").glob("step_*/summary.json"))) == 1 + self.checkpoints


@dataclass
class _Status:
    """What a thread says about its training; told that the study stops, it raises."""

    stop: threading.Event
    text: str = "waiting"
    show: Callable[[], None] = field(default=lambda: None)

    def update(self, done: int, total: int, note: str = "") -> None:
        self.waiting(f"step {done}/{total}, {note}")

    def waiting(self, status: str) -> None:
        self.text = status
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
        console.print(f"{len(trainings) - len(left)} of {len(trainings)} runs: done before", highlight=False)
    failures: list[str] = []
    stop, started = threading.Event(), time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(24), TextColumn("{task.fields[status]}"))
    with ThreadPoolExecutor(jobs) as pool, Progress(*columns, console=console, transient=True) as bar:
        statuses = {training.name: _Status(stop) for training in left}
        futures = {pool.submit(_run, training, statuses[training.name]): training for training in left}
        overall = bar.add_task("runs", total=len(left), status="")
        rows = {name: bar.add_task(name, total=None, status="", visible=False) for name in statuses}
        pending: set[Future[None]] = set(futures)
        try:
            while pending:
                finished, pending = wait(pending, POLL_SECONDS, return_when=FIRST_COMPLETED)
                for name, status in statuses.items():
                    bar.update(rows[name], status=status.text, visible=status.text != "waiting")
                for future in finished:
                    training = futures[future]
                    del statuses[training.name]
                    bar.update(rows[training.name], visible=False)
                    done = len(left) - len(pending)
                    remaining = (time.monotonic() - started) / done * len(pending)
                    error = future.exception()
                    if error is not None:
                        failures.append(f"{training.name}: {error}")
                    what = f"failed: {error}" if error is not None else "trained and evaluated"
                    note = f"{done}/{len(left)}, {remaining / 60:.0f} min left"
                    bar.update(overall, completed=done, status=note)
                    console.print(f"({note}) {training.name}: {what}", highlight=False, soft_wrap=True)
        except KeyboardInterrupt:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return failures


def _run(training: Training, status: _Status) -> None:
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
    with child(program, os.environ, log.parent, log) as process:
        while True:
            try:
                code = process.wait(POLL_SECONDS)
                break
            except subprocess.TimeoutExpired:
                waiting()
    if code:
        last = (log.read_text(encoding="utf-8", errors="replace").splitlines() or ["it wrote nothing"])[-1]
        raise QuickstartError(f"resrl {command[0]} failed: {last} (its log: {log})")
