# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Real steps of the baselines: verl's trainer, Ray, the FSDP2 engine and the rollout, on a CPU."""

import itertools
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.training.trainer import make_task, run

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_task(tmp_path_factory.mktemp("task"))


SAMPLES = 4


def share_of_subsets(right: list[bool], k: int) -> float:
    """Pass@k by its definition: the share of subsets of k responses that hold a right one."""
    subsets = list(itertools.combinations(right, k))
    return sum(any(subset) for subset in subsets) / len(subsets)


def check_common(metrics: dict[str, Any]) -> None:
    assert 0 < metrics["critic/score/mean"] < 1
    assert metrics["actor/grad_norm"] > 0


@pytest.mark.parametrize(
    ("method", "highest", "lowest"),
    [
        pytest.param("psr", 1.0, 0.0, marks=pytest.mark.long),
        pytest.param("nsr", 0.0, -1.0, marks=pytest.mark.long),
        ("w_reinforce", 0.1, -1.0),  # which is both, with factors
    ],
)
def test_baselines(
    method: str, highest: float, lowest: float, task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for metrics in run(method, task, tmp_path, monkeypatch):
        check_common(metrics)
        assert metrics["critic/advantages/max"] == pytest.approx(highest)
        assert metrics["critic/advantages/min"] == pytest.approx(lowest)
        assert not any("resrl" in name for name in metrics)


def test_grpo_and_pass_at_k_of_its_validation(task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rollout = "actor_rollout_ref.rollout.val_kwargs"
    steps = run(
        "grpo",
        task,
        tmp_path,
        monkeypatch,
        "+metrics=pass_at_k",
        f"{rollout}.n={SAMPLES}",
        f"{rollout}.do_sample=True",
        f"{rollout}.temperature=1.0",
        "trainer.test_freq=1",
        f"trainer.validation_data_dir={tmp_path}/validation",
    )
    for metrics in steps:
        check_common(metrics)
        assert metrics["critic/advantages/max"] > 0.3
        assert not any("resrl" in name for name in metrics)
    for step, metrics in enumerate(steps, start=1):
        groups = defaultdict(list)
        for line in (tmp_path / "validation" / f"{step}.jsonl").read_text().splitlines():
            row = json.loads(line)
            groups[row["uid"].split("_")[0]].append(row["score"] > 0)
        assert [len(group) for group in groups.values()] == [SAMPLES] * 8
        assert any(0 < sum(group) < SAMPLES for group in groups.values())  # else every estimator agrees
        expected = {
            f"val-aux/test/pass@{k}/mean@1": sum(share_of_subsets(group, k) for group in groups.values()) / len(groups)
            for k in (1, 2, 4)
        }
        logged = {name: value for name, value in metrics.items() if "pass@" in name}
        assert logged == pytest.approx(expected, abs=1e-12)
        # what makes the metric necessary
        assert metrics[f"val-core/test/acc/best@{SAMPLES}/mean"] < expected[f"val-aux/test/pass@{SAMPLES}/mean@1"]
