#!/usr/bin/env python3
# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E402 (the folders of ``benchmarks`` and of the quickstart's modules go on the path first)
"""Train ResRL on two nodes of Ray while one dies, or the network between them is cut or slow; a table of what became.

scripts/node_faults.sh installs what this needs. Data, model and verl's command are the quickstart's.
"""

import shutil
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from statistics import mean

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "examples" / "quickstart")]  # neither is installed

from knobs import Knob
from settings import QuickstartError, Settings

from benchmarks.script import begin, end

KNOBS = (
    Knob("STEPS", "4", "training steps; the faults strike in the third"),
    Knob("OUT", "outputs/node_faults", "folder of everything that is written, relative to the current one"),
    Knob("CUT", "10", "seconds without a network"),
    Knob("SEED", "0", "of the data, the warm start and the sampling"),
)
HELP = f"""\
Usage: [KNOB=value ...] bash scripts/node_faults.sh [--help]

Make two machines of this one's namespaces (as scripts/two_nodes.sh, needs root on Linux) with a link that can be slow
and cut, and train on them: undisturbed; with the second node's raylet killed in the third step; with the link cut for
CUT seconds then; with 50 ms and 20 Mbit/s in each direction all the time. A run that fails is started again with the
same command on a new Ray. Ends with 0 if each ends with the weights and metrics of the undisturbed one, to the bit; the
table is in OUT/node_faults.md. About ten minutes on two cores.

{chr(10).join(f"  {knob.name:12}{knob.meaning} [{knob.default}]" for knob in KNOBS)}"""
STRUCK_AFTER = 2


def kill_raylet(machines: "Sequence[Machine]", _: "Link") -> None:
    """End Ray's own process on the second machine, as a crash would."""
    machines[1].run("kill", "-KILL", machines[1].run("pgrep", "-x", "raylet").strip())


def node_faults(knobs: dict[str, str], console: "Console") -> bool:
    """Make what is missing, train under each fault, compare.

    Args:
        knobs: values by name.
        console: where to print.

    Returns:
        Whether each training ends as the undisturbed one.
    """
    reason = missing()
    if reason:
        raise QuickstartError(reason)
    shared = {name: knobs[name] for name in ("STEPS", "OUT", "SEED")}
    settings = Settings.from_environment(shared | {"METHODS": "resrl", "SAVE_EVERY": "1"})
    if settings.steps <= STRUCK_AFTER:
        raise QuickstartError(f"STEPS={settings.steps} must be above {STRUCK_AFTER}")

    def cut(_: "Sequence[Machine]", link: "Link") -> None:
        link.set("cut")
        time.sleep(float(knobs["CUT"]))
        link.set("0 10000")

    faults = (
        Fault("none"),
        Fault("raylet of the second node killed", strikes=kill_raylet),
        Fault(f"network cut for {knobs['CUT']} s", strikes=cut),
        Fault("50 ms, 20 Mbit/s", delay_ms=50, mbit=20),
    )
    phases = Phases(2 + len(faults), console)
    with only_one(settings.out):
        task = make_task(settings, phases)
        outcomes = []
        for number, fault in enumerate(faults):
            folder = settings.out / f"fault_{number}"
            if number or finished_step(folder) < settings.steps:  # the undisturbed one is needed once
                shutil.rmtree(folder, ignore_errors=True)
                (folder / "metrics").mkdir(parents=True)
            with phases.phase(fault.name) as phase:
                outcomes.append(suffer(fault, task, folder, settings.out, phase))
            text = "\n".join([HEAD, *(outcome.row() for outcome in outcomes)])
            (settings.out / "node_faults.md").write_text(text + "\n")
    console.print(text, highlight=False, soft_wrap=True)
    return all(outcome.found.same for outcome in outcomes)


def suffer(fault: "Fault", task: "Task", folder: Path, out: Path, phase: "Phase") -> "Outcome":
    """Train under a fault, and to the end without it if it failed.

    Args:
        fault: that strikes.
        task: to train.
        folder: of the training.
        out: with the undisturbed one in ``fault_0``.
        phase: shows the progress.
    """
    error, begin, last = "", 0.0, 0

    def attempt(strikes: bool) -> None:
        nonlocal begin
        link = Link(fault.delay_ms, fault.mbit)
        with closing(link), two_machines(out / "machines", link) as machines, ray_on(machines):

            def strike() -> None:
                nonlocal begin
                begin = time.monotonic()
                if strikes and fault.strikes is not None:
                    fault.strikes(machines, link)

            striker = Striker(phase, STRUCK_AFTER, strike)
            command = on_both(task.command(folder), machines[0], next_metrics(folder))
            try:
                train(command, folder, task.settings.steps, striker)
            finally:
                if striker.thread is not None:
                    striker.thread.join()

    seconds = 0.0
    try:
        if finished_step(folder) < task.settings.steps:
            attempt(strikes=True)
    except QuickstartError as stopped:
        error, seconds, last = str(stopped), time.monotonic() - begin, finished_step(folder)
        attempt(strikes=False)
    steps = steps_of(folder)
    later = [steps[step] for step in steps if step > 1]
    return Outcome(
        fault.name,
        error,
        seconds,
        last,
        compare(out / "fault_0", folder, task.settings.steps),
        1e3 * mean(step["actor/resrl/exchange_gb"] for step in later),
        mean(step["actor/resrl/exchange_seconds"] for step in later),
        mean(step["timing_s/step"] for step in later),
    )


if __name__ == "__main__":
    begin(HELP)
    from lock import only_one
    from rich.console import Console
    from training import finished_step, next_metrics, train

    from benchmarks.link import Link
    from benchmarks.machines import Machine, NoMachines, missing, two_machines
    from benchmarks.node_faults import HEAD, Fault, Outcome, Striker
    from benchmarks.ray_nodes import on_both, ray_on
    from benchmarks.same_training import compare, steps_of
    from benchmarks.small_task import Task, make_task
    from verl_resrl.evaluation.progress import Phase, Phases

    end(node_faults, KNOBS, NoMachines, QuickstartError)
