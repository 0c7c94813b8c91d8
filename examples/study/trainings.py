# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Some trainings at a time: each is trained, then all of its checkpoints are evaluated; stopping stops them all."""

import json
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

from board import Board, Status
from origin import code_of_results, origin_of_results

# isort: split
from checkpoints import finished_step, keep_weights
from rich.console import Console
from settings import QuickstartError
from training import train

from verl_resrl.evaluation.settings import write_json
from verl_resrl.runs.child import child
from verl_resrl.runs.files import ORIGIN

POLL_SECONDS = 0.5
COMMAND = "command.json"


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
        code: fingerprint of the sources that all trainings are to be made with.
    """

    name: str
    folder: Path
    command: Sequence[str]
    evaluation: Sequence[str]
    start_evaluation: Path
    steps: int
    save_every: int
    code: str

    def is_evaluated(self) -> bool:
        """Whether nothing is left to do."""
        steps = [*range(0, self.steps, self.save_every), self.steps]
        return all((self.folder / "evaluations" / f"step_{step}" / "summary.json").exists() for step in steps)


def run_trainings(trainings: Sequence[Training], jobs: int, console: Console) -> list[str]:
    """Train and evaluate what has not been yet.

    Args:
        trainings: in the order in which to start them.
        jobs: how many at a time.
        console: shows the progress.

    Returns:
        One line for each training that failed.

    Raises:
        QuickstartError: one was made by another command, whether it is finished or not.
    """
    for training in trainings:
        _check_command(training)
    left = [training for training in trainings if not training.is_evaluated()]
    if len(left) < len(trainings):
        console.print(f"{len(trainings) - len(left)} of {len(trainings)} trainings: done before", highlight=False)
    failures: list[str] = []
    stop, shares = threading.Event(), _shares_of_the_cores(jobs)
    with ThreadPoolExecutor(jobs, initializer=lambda: _stay_on(shares)) as pool, Board(len(left), console) as board:
        statuses = [Status(training.name, stop) for training in left]
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


def _run(training: Training, status: Status) -> None:
    status.running = True
    try:
        _train_and_evaluate(training, status)
    finally:
        status.running = False


def _train_and_evaluate(training: Training, status: Status) -> None:
    folder = training.folder
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / COMMAND, _command(training))
    if finished_step(folder) < training.steps:
        _train(training, status)
    keep_weights(folder, training.steps)
    start = folder / "evaluations" / "step_0"
    if not start.exists():
        unfinished = start.with_name("start.tmp")
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(training.start_evaluation, unfinished)
        os.replace(unfinished, start)
    call(training.evaluation, folder / "evaluation.log", lambda: status.waiting("evaluating its checkpoints"))


def _command(training: Training) -> list[str]:
    """Without the Python."""
    return list(training.command[1:])


def _check_command(training: Training) -> None:
    """A report must not show two trainings as one, nor a folder hold the beginning of one and the end of another."""
    file, new = training.folder / COMMAND, _command(training)
    old = json.loads(file.read_text(encoding="utf-8")) if file.exists() else new
    if old != new:
        changed = " ".join(sorted(set(old) ^ set(new)))
        raise QuickstartError(f"{training.folder} was trained by another command ({changed}): rename or delete it")


def _train(training: Training, status: Status) -> None:
    """Train, and note from what, where, and how long."""
    file = training.folder / ORIGIN
    origin = json.loads(file.read_text(encoding="utf-8")) if file.exists() else origin_of_results()
    if code_of_results() != training.code:
        raise QuickstartError("the sources were changed while the study runs: run it from a git worktree of its own")
    write_json(file, origin)
    began = time.monotonic()
    try:
        train(training.command, training.folder, training.steps, status, keep_older=True)
    finally:
        write_json(file, origin | {"seconds": origin.get("seconds", 0.0) + time.monotonic() - began})


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
