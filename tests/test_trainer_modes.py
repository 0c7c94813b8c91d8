# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""ResRL in verl's asynchronous trainer, with rollout servers of their own and weights that travel over gloo."""

from pathlib import Path

import pytest

from tests.trainer import make_task, run

pytestmark = pytest.mark.e2e


def test_separate_async(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = make_task(tmp_path)
    steps = run(
        "resrl",
        task,
        tmp_path / "run",
        monkeypatch,
        "resrl.rank=4",
        "trainer.v1.trainer_mode=separate_async",
        "actor_rollout_ref.rollout.nnodes=1",
        "actor_rollout_ref.rollout.n_gpus_per_node=1",
        "trainer.total_training_steps=3",
    )
    assert len(steps) == 3
    for metrics in steps:
        assert metrics["actor/grad_norm"] > 0
        assert metrics["actor/resrl/active_group_frac"] > 0
        assert 0.1 < metrics["actor/resrl/negative_advantage_scale"] < 1
        assert metrics["actor/resrl/fallback_count"] == 0
    # how stale a batch is depends on time; the weights that sampled it are known
    assert "training/off_policy/trajectory_staleness/max" in steps[-1]
