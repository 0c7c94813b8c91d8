#!/usr/bin/env python3
# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E402 (the folders of ``benchmarks`` and of the quickstart's modules go on the path first)
"""Train ResRL on two nodes of Ray, each in network and process namespaces of its own, and on one node; compare.

scripts/two_nodes.sh installs what this needs. Data, model and verl's command are the quickstart's.
"""

import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "examples" / "quickstart")]  # neither is installed

from knobs import Knob
from settings import QuickstartError, Settings

from benchmarks.script import begin, end
from verl_resrl.runs.files import TRACKER

KNOBS = (
    Knob("STEPS", "3", "training steps"),
    Knob("OUT", "outputs/two_nodes", "folder of everything that is written, relative to the current one"),
    Knob("SEED", "0", "of the data, the warm start and the sampling"),
)
HELP = f"""\
Usage: [KNOB=value ...] bash scripts/two_nodes.sh [--help]

Make two machines of this one's namespaces, with a link between them (needs root on Linux, iproute2 and util-linux),
start Ray on both, and train ResRL on Countdown with a rank on each. Then train with both ranks on one node, and
continue there the two nodes' training from the checkpoint before the last. Ends with 0 if weights and metrics are equal
to the bit, else with 1; the verdict is also in OUT/two_nodes.txt. Ctrl-C, a failure or kill -9 leave no process, no
interface and no namespace behind. About seven minutes on two cores.

{chr(10).join(f"  {knob.name:12}{knob.meaning} [{knob.default}]" for knob in KNOBS)}"""


def two_nodes(knobs: dict[str, str], console: "Console") -> bool:
    """Make what is missing, train both ways, compare.

    Args:
        knobs: values by name.
        console: where to print.

    Returns:
        Whether nothing differs.
    """
    reason = missing()
    if reason:
        raise QuickstartError(reason)
    settings = Settings.from_environment({**knobs, "METHODS": "resrl", "SAVE_EVERY": "1"})
    if settings.steps < 2:
        raise QuickstartError(f"STEPS={settings.steps} must be 2 or more: the last one is repeated")
    phases = Phases(5, console)
    with only_one(settings.out):
        task = make_task(settings, phases)
        folders = {}
        for nodes in (2, 1):
            folders[nodes] = settings.out / f"{nodes}_nodes"
            shutil.rmtree(folders[nodes], ignore_errors=True)
            folders[nodes].mkdir()
        command = task.command(folders[2])
        console.print(f"verl's log: {folders[2] / 'verl.log'}", highlight=False, soft_wrap=True)
        with (
            phases.phase("two nodes with a rank each") as phase,
            two_machines(settings.out / "machines") as machines,
            ray_on(machines),
        ):
            train(on_both(command, machines[0], next_metrics(folders[2])), folders[2], settings.steps, phase)
        with phases.phase("one node with two ranks") as phase:
            train(on_one(task.command(folders[1])), folders[1], settings.steps, phase)
        with phases.phase("its last step on one node") as phase:
            moved = without_last_step(folders[2], settings.out / "moved", settings.steps)
            train(on_one(task.command(moved)), moved, settings.steps, phase)
        lines, same = [], True
        for what, folder in (("one node with two ranks", folders[1]), ("its last step on one node", moved)):
            found = compare(folders[2], folder, settings.steps)
            lines += [f"two nodes with a rank each, against {what}:", *found.lines()]
            same = same and found.same
        text = "\n".join(lines)
        (settings.out / "two_nodes.txt").write_text(text + "\n")
        console.print(text, highlight=False, soft_wrap=True)
        return same


def without_last_step(folder: Path, copy: Path, last: int) -> Path:
    """Copy a training as it was before its last step.

    Args:
        folder: of the training.
        copy: where to.
        last: its last step.

    Returns:
        The copy.
    """
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy, ignore=lambda _, names: {f"global_step_{last}"} & set(names))
    (copy / "checkpoints" / TRACKER).write_text(str(last - 1))
    return copy


if __name__ == "__main__":
    begin(HELP)
    from lock import only_one
    from rich.console import Console
    from training import next_metrics, train

    from benchmarks.machines import NoMachines, missing, two_machines
    from benchmarks.ray_nodes import on_both, on_one, ray_on
    from benchmarks.same_training import compare
    from benchmarks.small_task import make_task
    from verl_resrl.evaluation.progress import Phases

    end(two_nodes, KNOBS, NoMachines, QuickstartError)
