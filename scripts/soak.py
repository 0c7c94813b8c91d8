#!/usr/bin/env python3
# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E402 (the folders of ``benchmarks`` and of the quickstart's modules go on the path first)
"""Soak test: many training steps of ResRL on Countdown with two ranks, and the memory of every process over time.

scripts/soak.sh installs what this needs. Data, model and verl's command are the quickstart's.
"""

import shutil
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "examples" / "quickstart")]  # neither is installed

from knobs import Knob
from settings import QuickstartError, Settings

from benchmarks.script import begin, end

KNOBS = (
    Knob("STEPS", "200", "training steps"),
    Knob("OUT", "outputs/soak", "folder of everything that is written, relative to the current one"),
    Knob("RANKS", "2", "data-parallel ranks, each a process"),
    # verl's load balancer remembers 10,000 requests, 128 a step: full after 78 steps
    Knob("WARM_UP", "80", "first steps, whose memory does not count"),
    Knob("LIMIT", "0.02", "growth of memory after the warm-up that is still no growth"),
    Knob("INTERVAL", "10", "seconds between two looks at the memory"),
    Knob("SAVE_EVERY", "50", "steps between checkpoints"),
    Knob("SEED", "0", "of the data, the warm start and the sampling"),
)
HELP = f"""\
Usage: [KNOB=value ...] bash scripts/soak.sh [--help]

Train ResRL on Countdown on this machine's CPU and watch the memory of every process of the run.
Writes soak.csv (memory of each process over time), soak.png and soak.txt (the verdict) into OUT. Ends with 0 if every
step succeeded and no memory grew, else with 1. About 20 minutes on two cores. A stopped soak starts again, with the
data and the model that it has made.

{chr(10).join(f"  {knob.name:12}{knob.meaning} [{knob.default}]" for knob in KNOBS)}"""


class Watch:
    """Shows the progress of the training and looks at the memory meanwhile.

    Args:
        phase: shows the progress.
        interval: seconds between two looks.
    """

    def __init__(self, phase: "Phase", interval: float) -> None:
        self.samples: list[Sample] = []
        self._phase, self._interval = phase, interval
        self._watcher = ProcessWatcher()
        self._begin = self._last = time.monotonic()

    def update(self, done: int, total: int, note: str = "") -> None:
        """Called with the number of finished steps twice a second; see ``Phase.update``."""
        self._phase.update(done, total, note)
        now = time.monotonic()
        if now - self._last >= self._interval:
            self._last = now
            self.samples += self._watcher.samples(now - self._begin, done)

    def waiting(self, status: str) -> None:
        """See ``Phase.waiting``."""
        self._phase.waiting(status)


def soak(knobs: dict[str, str], console: "Console") -> bool:
    """Make what is missing, train, report.

    Args:
        knobs: values by name.
        console: where to print.

    Returns:
        Whether every step succeeded and no memory grew.
    """
    shared = {name: knobs[name] for name in ("STEPS", "OUT", "SEED", "SAVE_EVERY")}
    settings = Settings.from_environment(shared | {"METHODS": "resrl"})
    ranks, warm_up = int(knobs["RANKS"]), int(knobs["WARM_UP"])
    if settings.steps - warm_up < 10:
        raise QuickstartError(f"STEPS={settings.steps} must be at least 10 more than WARM_UP={warm_up}")
    run = settings.out / "run"
    phases = Phases(3, console)
    with only_one(settings.out):
        task = make_task(settings, phases)
        shutil.rmtree(run, ignore_errors=True)
        run.mkdir()
        command = task.command(run)
        # glibc's own first threshold, kept: large blocks go back to the system when they are freed, so that memory
        # shows what is in use. glibc would raise it, and then heaps move between two sizes.
        allocator = "+ray_kwargs.ray_init.runtime_env.env_vars.MALLOC_MMAP_THRESHOLD_='131072'"
        command += [f"trainer.n_gpus_per_node={ranks}", allocator]
        console.print(f"verl's log: {run / 'verl.log'}", highlight=False, soft_wrap=True)
        problem = ""
        with phases.phase(f"{settings.steps} steps on {ranks} ranks") as phase:
            watch = Watch(phase, float(knobs["INTERVAL"]))
            try:
                train(command, run, settings.steps, watch)
            except QuickstartError as error:
                problem = str(error)
        result = Result(
            watch.samples, read_metrics(run), settings.steps, warm_up, ranks, float(knobs["LIMIT"]), problem
        )
        return write_soak_report(settings.out, result, console)


if __name__ == "__main__":
    begin(HELP)
    from lock import only_one
    from rich.console import Console
    from training import train

    from benchmarks.process_memory import ProcessWatcher, Sample
    from benchmarks.small_task import make_task
    from benchmarks.soak_report import Result, write_soak_report
    from verl_resrl.evaluation.progress import Phase, Phases
    from verl_resrl.runs.files import read_metrics

    end(soak, KNOBS, QuickstartError)
