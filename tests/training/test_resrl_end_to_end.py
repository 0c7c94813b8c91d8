# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Real ResRL steps: verl's trainer, Ray, the FSDP2 engine and the rollout, on a CPU; and one whose worker is killed."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.same_training import differences
from tests.training.trainer import REWARD, make_task, read_steps, run

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


SETTINGS = ("resrl.rank=4", f"trainer.total_training_steps={LAST}", "trainer.save_freq=1")


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_task(tmp_path_factory.mktemp("task"))


@pytest.fixture(scope="module")
def steps(task: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Metrics of a run that nothing happens to."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        return run("resrl", task, tmp_path_factory.mktemp("whole"), monkeypatch, *SETTINGS)


def test_resrl(steps: list[dict[str, Any]]) -> None:
    assert len(steps) == LAST
    for metrics in steps:
        assert 0 < metrics["critic/score/mean"] < 1
        assert metrics["actor/grad_norm"] > 0
        assert metrics["actor/resrl/active_group_frac"] > 0
        assert 0.1 <= metrics["actor/resrl/weight_min"] <= metrics["actor/resrl/weight_mean"] < 1
        assert metrics["actor/resrl/weight_max"] == pytest.approx(1)
        assert 0.1 < metrics["actor/resrl/negative_advantage_scale"] < 1
        assert 0 < metrics["actor/resrl/coverage"] <= 1
        # the estimator scaled positives by 0.1, so the largest advantage is far below the size of the smallest
        assert 0 < metrics["critic/advantages/max"] < 0.3
        assert metrics["critic/advantages/min"] < -0.3
    assert steps[0]["critic/score/mean"] != steps[1]["critic/score/mean"]


def test_a_reference_policy_is_a_model_of_its_own(task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Verl builds it before the actor, in the same process, with the actor's model type."""
    settings = ("resrl.rank=4", "trainer.total_training_steps=2", "actor_rollout_ref.actor.use_kl_loss=True")
    first, second = run("resrl", task, tmp_path, monkeypatch, *settings)
    assert first["actor/kl_loss"] == pytest.approx(0, abs=1e-6)
    assert second["actor/kl_loss"] > 0
    assert second["actor/resrl/active_group_frac"] > 0


@pytest.mark.long
def test_bfloat16(task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for metrics in run("resrl", task, tmp_path, monkeypatch, "resrl.rank=4", device="cpu_bf16"):
        assert metrics["actor/resrl/active_group_frac"] > 0
        assert metrics["actor/grad_norm"] > 0
        # rollout and actor round differently in bfloat16, which has 8 bits; in float32 this is below 1e-5
        assert 1e-5 < metrics["training/rollout_probs_diff_max"] < 0.05


@pytest.mark.long
def test_killed_worker(
    steps: list[dict[str, Any]], task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends with an error, and continues as if nothing was: a run repeats to the bit."""
    (tmp_path / "kill.py").write_text(KILL.format(folder=tmp_path))
    settings = (*SETTINGS, f"reward.custom_reward_function.path={tmp_path}/kill.py")
    with pytest.raises(Exception, match=r"(?s)ActorDiedError.*actor died unexpectedly before finishing this task"):
        run("resrl", task, tmp_path, monkeypatch, *settings)
    before = read_steps(tmp_path, "resrl")
    assert sorted(before) == list(range(1, KILLED_IN))

    resumed = run("resrl", task, tmp_path, monkeypatch, *settings)
    assert len(resumed) == LAST - KILLED_IN + 1
    for step, metrics in enumerate([*before.values(), *resumed], start=1):
        assert differences(steps[step - 1], metrics) == set(), f"step {step}"


@pytest.mark.long
@pytest.mark.parametrize(
    ("method", "settings"),
    [("nthr", ("resrl.measure_lld=True",)), ("resrl_interference", ("resrl.shuffle=True",))],
)
def test_interference(
    method: str, settings: tuple[str, ...], task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Predictions reach the weights, and interference the update, through verl's own batch."""
    for metrics in run(method, task, tmp_path, monkeypatch, "resrl.rank=4", *settings):
        assert metrics["actor/grad_norm"] > 0
        assert metrics["actor/resrl/active_group_frac"] > 0
        assert metrics["actor/resrl/weight_min"] < metrics["actor/resrl/weight_mean"] < 1
        assert 0 < metrics["actor/resrl/interference_negative_frac"] < 1
        assert metrics["actor/resrl/interference_mean"] != 0
        assert metrics["actor/resrl/lld_predicted"] != 0
        assert ("actor/resrl/lld_measured" in metrics) == (method == "nthr")
        assert (metrics["critic/advantages/max"] > 0.3) == (method == "nthr")  # lambda_pos
