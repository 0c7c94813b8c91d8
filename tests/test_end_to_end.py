# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Real training steps: verl's trainer, Ray, the FSDP2 engine and the rollout, on a CPU."""

from pathlib import Path
from typing import Any

import pytest

from tests.trainer import PROMPTS, differences, make_task, run

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_task(tmp_path_factory.mktemp("task"))


def check_common(metrics: dict[str, Any]) -> None:
    assert 0 < metrics["critic/score/mean"] < 1
    assert metrics["actor/grad_norm"] > 0


def test_resrl(task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = run("resrl", task, tmp_path / "a", monkeypatch, "resrl.rank=4")
    for metrics in (first, second):
        check_common(metrics)
        assert metrics["actor/resrl/active_group_frac"] > 0
        assert 0.1 <= metrics["actor/resrl/weight_min"] <= metrics["actor/resrl/weight_mean"] < 1
        assert metrics["actor/resrl/weight_max"] == pytest.approx(1)
        assert 0.1 < metrics["actor/resrl/negative_advantage_scale"] < 1
        assert 0 < metrics["actor/resrl/coverage"] <= 1
        # the estimator scaled positives by 0.1, so the largest advantage is far below the size of the smallest
        assert 0 < metrics["critic/advantages/max"] < 0.3
        assert metrics["critic/advantages/min"] < -0.3
    assert first["critic/score/mean"] != second["critic/score/mean"]

    # a run repeats exactly
    again = run("resrl", task, tmp_path / "b", monkeypatch, "resrl.rank=4")
    for before, after in zip((first, second), again, strict=True):
        assert differences(before, after) == set()


@pytest.mark.parametrize(
    ("method", "highest", "lowest"), [("psr", 1.0, 0.0), ("nsr", 0.0, -1.0), ("w_reinforce", 0.1, -1.0)]
)
def test_baselines(
    method: str, highest: float, lowest: float, task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for metrics in run(method, task, tmp_path, monkeypatch):
        check_common(metrics)
        assert metrics["critic/advantages/max"] == pytest.approx(highest)
        assert metrics["critic/advantages/min"] == pytest.approx(lowest)
        assert not any("resrl" in name for name in metrics)


def test_grpo(task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for metrics in run("grpo", task, tmp_path, monkeypatch):
        check_common(metrics)
        assert metrics["critic/advantages/max"] > 0.3
        assert not any("resrl" in name for name in metrics)


def test_control_with_measured_displacement(task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    overrides = ("resrl.rank=4", "resrl.hidden_state_at=consuming", "resrl.measure_lld=True")
    two_mini_batches = f"actor_rollout_ref.actor.ppo_mini_batch_size={PROMPTS // 2}"
    for metrics in run("resrl_shuffled", task, tmp_path, monkeypatch, *overrides, two_mini_batches):
        check_common(metrics)
        assert metrics["actor/resrl/active_group_frac"] > 0
        assert 0.1 <= metrics["actor/resrl/weight_min"] < metrics["actor/resrl/weight_max"] <= 1
        assert sum(metrics[f"actor/resrl/weight_bin_{i}"] for i in range(10)) == pytest.approx(1)
        assert metrics["actor/resrl/lld_proxy"] > 0
        assert 0 < abs(metrics["actor/resrl/lld_measured"]) < 1
        assert -1 <= metrics.get("actor/resrl/lld_rank_correlation", 0) <= 1
