#!/usr/bin/env python3
# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E402 (the folders of ``benchmarks`` and of the quickstart's modules go on the path first)
"""Run examples/cluster/slurm.sbatch on two nodes of a real SLURM, each in namespaces of its own.

scripts/slurm_nodes.sh installs what this needs, but SLURM.
"""

import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "examples" / "quickstart")]  # neither is installed

from knobs import Knob
from settings import QuickstartError, Settings

from benchmarks.script import begin, end
from verl_resrl.runs.files import TRACKER

KNOBS = (
    Knob("STEPS", "3", "training steps"),
    Knob("OUT", "outputs/slurm_nodes", "folder of everything that is written, relative to the current one"),
    Knob("SEED", "0", "of the data, the warm start and the sampling"),
)
HELP = f"""\
Usage: [KNOB=value ...] bash scripts/slurm_nodes.sh [--help]

Make two machines of this one's namespaces, start munge and SLURM on both, and submit examples/cluster/slurm.sbatch:
1. a training of STEPS steps, which must end as COMPLETED;
2. the same, requeued after its first checkpoint: it must continue, to the same weights to the bit;
3. the same, cancelled in its first step: nothing of it may be left on either node;
4. a script that ends with 3: so must the job.
Ends with 0 if all of it is so; the findings are also in OUT/slurm_nodes.txt. SLURM's logs are in OUT/slurm, those of
the jobs in OUT. About ten minutes on two cores.

{chr(10).join(f"  {knob.name:12}{knob.meaning} [{knob.default}]" for knob in KNOBS)}"""
MINUTES = 15  # for a job to get somewhere
DAEMONS = ("bash", "sleep", "munged", "slurmctld", "slurmscriptd", "slurmd", "ps")


class Jobs:
    """Submits slurm.sbatch, and looks at what becomes of it.

    Args:
        slurm: that runs.
        machines: its nodes.
        out: folder for the jobs' logs.
    """

    def __init__(self, slurm: "Slurm", machines: "list[Machine]", out: Path) -> None:
        self._slurm, self._machines, self._out = slurm, machines, out

    def submit(self, script: str, *arguments: str) -> int:
        """Submit a run script with the knobs of this environment."""
        options = ("--gpus-per-node=1", f"--cpus-per-task={os.cpu_count()}", f"--output={self._out}/job-%j.log")
        return self._slurm.submit(*options, str(ROOT / "examples/cluster/slurm.sbatch"), script, *arguments)

    def wait_for(self, what: str, reached: Callable[[], bool], job: int | None = None) -> None:
        """Wait until something is so, but not for ever, and not for a job that has ended."""
        end = time.monotonic() + 60 * MINUTES
        while not reached():
            if job is not None and self._slurm.state(job) in ENDED:
                raise QuickstartError(f"{what}: it ended before, see {self._out}/job-{job}.log")
            if time.monotonic() > end:
                raise QuickstartError(f"{what}: not after {MINUTES} minutes, see {self._out}/job-*.log")
            time.sleep(0.5)

    def ended(self, job: int) -> str:
        """Wait for a job's end; its state and exit code."""
        self.wait_for(f"job {job} ends", lambda: self._slurm.state(job) in ENDED)
        return f"{self._slurm.state(job)} {self._slurm.exit_code(job)}"

    def left(self) -> list[str]:
        """Names of the processes on both nodes that are not those of SLURM itself."""
        names = (machine.run("ps", "-e", "--no-headers", "-o", "comm").split() for machine in self._machines)
        return [name for of_one in names for name in of_one if name not in DAEMONS]

    def ask(self, *command: str) -> None:
        """Give SLURM an order."""
        self._slurm.head.run(*command)


def slurm_nodes(knobs: dict[str, str], console: "Console") -> bool:
    """Make what is missing, submit the jobs, judge.

    Args:
        knobs: values by name.
        console: where to print.

    Returns:
        Whether all went as it should.
    """
    lacking = [program for program in PROGRAMS if shutil.which(program) is None]
    reason = missing() or (f"needs {', '.join(lacking)}: apt-get install slurm-wlm munge" if lacking else None)
    if reason:
        raise QuickstartError(reason)
    settings = Settings.from_environment({**knobs, "METHODS": "resrl", "SAVE_EVERY": "1"})
    phases, findings = Phases(6, console), []
    with only_one(settings.out):
        task = make_task(settings, phases)
        whole, requeued, cancelled = (settings.out / name for name in ("whole", "requeued", "cancelled"))
        for folder in (whole, requeued, cancelled):
            shutil.rmtree(folder, ignore_errors=True)
        script = str(ROOT / "examples/math/run_resrl_qwen3_4b.sh")
        os.environ["RAY_START"] = "--num-cpus=12"  # Ray counts reservations, most of which idle
        with two_machines(settings.out / "machines") as machines:
            jobs = Jobs(Slurm(machines, settings.out / "slurm"), machines, settings.out)

            def start(out: Path) -> int:
                given, arguments = task.launch(out)
                os.environ.update(given)
                return jobs.submit(script, *arguments)

            with phases.phase("a training"):
                findings.append(("a training ends as", jobs.ended(start(whole)), "COMPLETED 0:0"))
            with phases.phase("requeued after its first checkpoint"):
                job = start(requeued)
                note = requeued / "checkpoints" / TRACKER
                jobs.wait_for(f"the first checkpoint of job {job}", note.exists, job)
                jobs.ask("scontrol", "requeue", str(job))
                findings.append(("requeued, it ends as", jobs.ended(job), "COMPLETED 0:0"))
                attempts = len(list((requeued / "metrics").iterdir()))
                findings.append(("attempts that trained", str(attempts), "2"))
                found = compare(whole, requeued, settings.steps)
                findings.append(("and the weights that differ from those of the first", f"{len(found.differing)}", "0"))
                findings.append(("metrics that differ", f"{len(found.metrics)}", "0"))
            with phases.phase("cancelled"):
                job = start(cancelled)
                jobs.wait_for(f"job {job} trains", lambda: any(cancelled.glob("metrics/*.jsonl")), job)
                jobs.ask("scancel", str(job))
                findings.append(("cancelled, it ends as", jobs.ended(job).split()[0], "CANCELLED"))
                jobs.wait_for("the nodes are idle", lambda: machines[0].run("squeue", "--noheader") == "")
                jobs.wait_for("the processes have ended", lambda: not jobs.left())
                findings.append(("processes that it leaves", ", ".join(jobs.left()) or "none", "none"))
            with phases.phase("a script that fails"):
                (settings.out / "fails.sh").write_text("exit 3\n")
                job = jobs.submit(str(settings.out / "fails.sh"))
                findings.append(("a script that ends with 3 ends as", jobs.ended(job), "FAILED 3:0"))
    lines = [f"{what}: {got}{'' if got == want else f' (must be {want})'}" for what, got, want in findings]
    (settings.out / "slurm_nodes.txt").write_text("\n".join(lines) + "\n")
    console.print("\n".join(lines), highlight=False, soft_wrap=True)
    return all(got == want for _, got, want in findings)


if __name__ == "__main__":
    begin(HELP)
    from lock import only_one
    from rich.console import Console

    from benchmarks.machines import Machine, NoMachines, missing, two_machines
    from benchmarks.same_training import compare
    from benchmarks.slurm import ENDED, PROGRAMS, Slurm
    from benchmarks.small_task import make_task
    from verl_resrl.evaluation.progress import Phases

    end(slurm_nodes, KNOBS, NoMachines, QuickstartError)
