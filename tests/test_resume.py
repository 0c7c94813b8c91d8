# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""A run whose training worker is killed in the middle of a step ends with an error and continues as if nothing was."""

from pathlib import Path

import pytest

from tests.trainer import REWARD, differences, make_task, read_steps, run

pytestmark = pytest.mark.e2e

KILLED_IN, LAST = 3, 4
# called in the middle of a step; its process and the training workers have the same parent, Ray's raylet
KILL = f"""
import os, signal
from pathlib import Path

import psutil

SAVED = Path("{{folder}}/checkpoints/latest_checkpointed_iteration.txt")
KILLED = Path("{{folder}}/killed")

{REWARD}
score = compute_score

def compute_score(*args, **kwargs):
    if SAVED.exists() and SAVED.read_text() == "{KILLED_IN - 1}" and not KILLED.exists():
        KILLED.touch()
        for process in psutil.Process().parent().children():
            if process.cmdline()[0].startswith("ray::WorkerDict"):
                os.kill(process.pid, signal.SIGKILL)
    return score(*args, **kwargs)
"""


def test_killed_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "task").mkdir()
    task = make_task(tmp_path / "task")
    settings = ("resrl.rank=4", f"trainer.total_training_steps={LAST}", "trainer.save_freq=1")
    whole = run("resrl", task, tmp_path / "whole", monkeypatch, *settings)
    assert len(whole) == LAST

    killed = tmp_path / "killed"
    killed.mkdir()
    (killed / "kill.py").write_text(KILL.format(folder=killed))
    settings += (f"reward.custom_reward_function.path={killed}/kill.py",)
    with pytest.raises(Exception, match=r"(?s)ActorDiedError.*actor died unexpectedly before finishing this task"):
        run("resrl", task, killed, monkeypatch, *settings)
    before = read_steps(killed, "resrl")
    assert sorted(before) == list(range(1, KILLED_IN))

    resumed = run("resrl", task, killed, monkeypatch, *settings)
    assert len(resumed) == LAST - KILLED_IN + 1
    for step, metrics in enumerate([*before.values(), *resumed], start=1):
        assert differences(whole[step - 1], metrics) == set(), f"step {step}"
