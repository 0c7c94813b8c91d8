#!/usr/bin/env python3
# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Runs everything that only a GPU can tell, each stage with a time limit of its own; scripts/gpu_check.sh starts it."""

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
KERNEL = """
from verl_resrl.doctor.computation import check_kernel, check_weights
print(check_weights(), check_kernel(), sep="\\n")
"""
TESTS = (  # those with tests marked gpu: files that need verl cannot even be collected without it
    "tests/algorithm/test_goldens.py",
    "tests/algorithm/test_memory.py",
    "tests/algorithm/test_residual_triton.py",
    "tests/algorithm/test_weights.py",
    "tests/benchmarks/test_benchmark.py",
)
BENCHMARK = ("numpy", "rich", "matplotlib", "transformers")
EPILOG = """\
Stages and their limits in seconds: {stages}.
A stage whose packages or GPU are missing says so and is skipped. Each writes its results when it ends, into
benchmarks/results: the benchmark's numbers go to cuda.csv, what became of each stage to gpu_check.json, and its output
to gpu_check_<stage>.txt. At the end, one table holds the targets: what was measured, and whether they are held.
"""


@dataclass(frozen=True)
class Stage:
    """One part of the check.

    Attributes:
        name: of the stage.
        command: arguments of Python.
        needs: packages that it imports.
        limit: seconds after which it is stopped.
        gpu: whether it says nothing without a GPU.
    """

    name: str
    command: tuple[str, ...]
    needs: tuple[str, ...]
    limit: int
    gpu: bool = True

    def obstacle(self, gpu: str | None) -> str | None:
        """Why it cannot run here, or None.

        Args:
            gpu: why no GPU can be used, or None.
        """
        missing = [name for name in self.needs if importlib.util.find_spec(name) is None]
        if missing:
            return f"needs {' and '.join(missing)}"
        return gpu if self.gpu else None


def _benchmark(question: str, limit: int, *needs: str) -> Stage:
    command = ("scripts/benchmark.py", "--only", question)
    return Stage(question, command, ("torch", *BENCHMARK, *needs), limit)


STAGES = (
    Stage("kernel", ("-c", KERNEL), ("torch", "triton"), 60),
    Stage(
        "tests",
        ("-m", "pytest", "-q", "-o", "addopts=", "-m", "gpu", *TESTS),
        ("torch", "triton", "pytest", "hypothesis", *BENCHMARK),
        130,
    ),
    _benchmark("weights", 70),
    _benchmark("residual", 30, "triton"),
    _benchmark("step", 110),
    _benchmark("growth", 70),
)
TRAINER = Stage("trainer", ("examples/quickstart/quickstart.py",), ("torch", "verl", "ray", "rich", "vllm"), 900)
TRAINER_SETTINGS = {"METHODS": "resrl", "STEPS": "5", "EVAL_SAMPLES": "16", "OUT": "outputs/gpu_check"}


@dataclass(frozen=True)
class Outcome:
    """What became of a stage.

    Attributes:
        stage: its name.
        result: "passed", "failed", "stopped at its limit" or "skipped: ...".
        seconds: it took.
        last_line: of its output.
    """

    stage: str
    result: str
    seconds: float
    last_line: str


def run(stage: Stage, gpu: str | None) -> Outcome:
    """Run a stage and show its output.

    Args:
        stage: what to run.
        gpu: why no GPU can be used, or None.
    """
    obstacle = stage.obstacle(gpu)
    if obstacle:
        return Outcome(stage.name, f"skipped: {obstacle}", 0.0, "")
    print(f"== {stage.name}, at most {stage.limit} s", flush=True)
    # without PYTHONPATH the package would have to be installed; plugins of an installed pytest are none of ours
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": paths, "PYTHONUNBUFFERED": "1"}
    if stage is TRAINER:
        environment |= TRAINER_SETTINGS
        shutil.rmtree(ROOT / TRAINER_SETTINGS["OUT"], ignore_errors=True)  # what another driver or vLLM has left
    log = RESULTS / f"gpu_check_{stage.name}.txt"
    begin = time.monotonic()
    with log.open("wb") as file:
        try:
            code = subprocess.run(
                [sys.executable, *stage.command],
                cwd=ROOT,
                env=environment,
                stdout=file,
                stderr=file,
                timeout=stage.limit,
            ).returncode
            result = "passed" if code == 0 else f"failed with exit code {code}"
        except subprocess.TimeoutExpired:
            result = "stopped at its limit"
    output = log.read_text(errors="replace").rstrip()
    print(output, flush=True)
    return Outcome(stage.name, result, round(time.monotonic() - begin, 1), output.rpartition("\n")[2][:200])


def gpu_obstacle() -> str | None:
    """Why no GPU can be used, or None."""
    if importlib.util.find_spec("torch") is None:
        return "needs torch"
    import torch

    return None if torch.cuda.is_available() else "needs an NVIDIA GPU, and torch sees none"


def show_targets() -> None:
    """Print the table of targets from what has been measured, by this run or an earlier one."""
    missing = [name for name in ("torch", "rich") if importlib.util.find_spec(name) is None]
    if missing:
        print(f"targets: no table without {' and '.join(missing)}")
        return
    sys.path.insert(0, str(ROOT))
    from rich.console import Console

    from benchmarks.csv_file import read_measurements
    from benchmarks.table import targets_table

    Console(width=140).print(targets_table(read_measurements(RESULTS / "cuda.csv"), "cuda"))


def main() -> int:
    """Run all stages; 0 if none failed or was stopped."""
    stages = ", ".join(f"{stage.name} {stage.limit}" for stage in STAGES)
    parser = argparse.ArgumentParser(
        prog="scripts/gpu_check.sh",
        description=__doc__.splitlines()[0],
        epilog=EPILOG.format(stages=stages),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--trainer", action="store_true", help="then five steps of verl's trainer and vLLM, ten minutes"
    )
    arguments = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    gpu, outcomes = gpu_obstacle(), []
    for stage in (*STAGES, TRAINER) if arguments.trainer else STAGES:
        outcomes.append(run(stage, gpu))
        print(f"{stage.name}: {outcomes[-1].result}", flush=True)
        text = json.dumps([asdict(outcome) for outcome in outcomes], indent=1)
        (RESULTS / "gpu_check.json").write_text(text + "\n")
    show_targets()
    for outcome in outcomes:
        print(f"{outcome.stage:9} {outcome.seconds:6.1f} s  {outcome.result}")
    return int(any(not outcome.result.startswith(("passed", "skipped")) for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
