# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The soak's judgement: which processes grew, which steps failed, who is who among the processes."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.process_memory import ProcessWatcher, Sample, growth_after_warm_up, role_of
from benchmarks.soak_report import Result, verdict

STEPS, WARM_UP = 100, 50
GOOD = {"actor/grad_norm": 1.0, "actor/loss": 0.1, "timing_s/step": 2.0}


def samples(**mib_per_step: float) -> list[Sample]:
    """Processes of 100 MiB that double in the warm-up and then grow by so much in every step."""
    return [
        Sample(float(step), step, pid, role, 0.0, 100 + min(step, WARM_UP) * 2 + max(step - WARM_UP, 0) * rate, 0.0)
        for step in range(STEPS + 1)
        for pid, (role, rate) in enumerate(mib_per_step.items(), start=1)
    ]


def result(**mib_per_step: float) -> Result:
    metrics = {step: dict(GOOD) for step in range(1, STEPS + 1)}
    return Result(samples(**mib_per_step), metrics, STEPS, WARM_UP, ranks=2, limit=0.02)


def test_growth_compares_medians_after_the_warm_up() -> None:
    total, leaking, flat = growth_after_warm_up(samples(flat=0.0, leaking=1.0), WARM_UP, STEPS)
    assert (leaking.role, leaking.before_mib, leaking.after_mib) == ("leaking", 205.5, 245.5)
    assert (flat.role, flat.fraction) == ("flat", 0)
    assert (total.role, total.before_mib, total.after_mib) == ("all processes", 405.5, 445.5)


def test_memory_that_comes_back_is_no_growth() -> None:
    wave = [replace(s, pss_mib=s.pss_mib + 50 * (s.step % 10 == 0)) for s in samples(wave=0.0)]
    assert [growth.fraction for growth in growth_after_warm_up(wave, WARM_UP, STEPS)] == [0, 0]


def test_good_soak_passes() -> None:
    lines, good = verdict(result(trainer=0.0, rollout=0.01))
    assert good
    assert "steps failed: 0" in lines
    assert lines[-1] == "verdict: passed"


def test_growing_process_fails() -> None:
    lines, good = verdict(result(trainer=0.0, rollout=0.2))
    assert not good
    assert [line.split()[0] for line in lines if line.endswith("GREW")] == ["rollout"]


@pytest.mark.parametrize("metrics", [{}, GOOD | {"actor/grad_norm": float("nan")}])
def test_failed_step_fails(metrics: dict[str, float]) -> None:
    broken = result(trainer=0.0)
    lines, good = verdict(replace(broken, metrics={**broken.metrics, 7: metrics}))
    assert not good
    assert "steps failed: 1 (7)" in lines


def test_run_that_stopped_fails_with_its_reason() -> None:
    lines, good = verdict(replace(result(trainer=0.0), problem="verl stopped early: out of memory"))
    assert not good
    assert "verl stopped early: out of memory" in lines


def test_run_that_was_too_short_fails() -> None:
    lines, good = verdict(replace(result(trainer=0.0), samples=samples(trainer=0.0)[:60]))
    assert not good
    assert "100 steps are too few to compare memory after a warm-up of 50" in lines


@pytest.mark.parametrize(
    ("command", "role"),
    [
        (["ray::WorkerDict.actor_rollout_update_actor", "", ""], "WorkerDict"),
        (["ray::TaskRunnerV1.run"], "TaskRunnerV1"),
        (["ray::IDLE", ""], "idle worker"),
        (["/usr/bin/python3", "-m", "verl.trainer.main_ppo", "+device=cpu"], "main_ppo"),
        (["/x/ray/core/src/ray/gcs/gcs_server", "--log_dir=x"], "gcs_server"),
        (["/usr/bin/python", "-u", "/x/log_monitor.py", "--session-dir=x"], "log_monitor.py"),
    ],
)
def test_role(command: list[str], role: str) -> None:
    assert role_of(command) == role


def test_watcher_measures_descendants() -> None:
    with subprocess.Popen([sys.executable, "-c", "x = bytearray(64 << 20); input()"], stdin=subprocess.PIPE) as child:
        watcher = ProcessWatcher()
        while True:  # until its memory is there
            (mine,) = [sample for sample in watcher.samples(1.0, 3) if sample.pid == child.pid]
            if mine.uss_mib > 64:
                break
        child.communicate(b"\n")
    assert (mine.seconds, mine.step) == (1.0, 3)
    assert mine.uss_mib <= mine.pss_mib <= mine.rss_mib < 200


def test_the_command_starts_and_names_a_soak_that_is_too_short(tmp_path: Path) -> None:
    command = [sys.executable, str(Path(__file__).parents[2] / "scripts" / "soak.py")]
    knobs = {"STEPS": "20", "WARM_UP": "15", "OUT": str(tmp_path / "out")}
    done = subprocess.run(command, env=os.environ | knobs, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "error: STEPS=20 must be at least 10 more than WARM_UP=15"
