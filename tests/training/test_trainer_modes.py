# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""verl's asynchronous trainer: rollout servers of their own, weights that travel over gloo; with the most that a
control of ResRL can do: shuffled weights of consuming states, displacement measured.
"""

from pathlib import Path

import pytest

from tests.training.trainer import make_task, run

pytestmark = [pytest.mark.e2e, pytest.mark.long]


def test_separate_async(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = make_task(tmp_path)
    steps = run(
        "resrl_shuffled",
        task,
        tmp_path / "run",
        monkeypatch,
        "resrl.rank=4",
        "resrl.hidden_state_at=consuming",
        "resrl.measure_lld=True",
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
        assert sum(metrics[f"actor/resrl/weight_bin_{i}"] for i in range(10)) == pytest.approx(1)
        assert metrics["actor/resrl/lld_proxy"] > 0
        assert 0 < abs(metrics["actor/resrl/lld_measured"]) < 1
        assert -1 <= metrics.get("actor/resrl/lld_rank_correlation", 0) <= 1
    # how stale a batch is depends on time; the weights that sampled it are known
    assert "training/off_policy/trajectory_staleness/max" in steps[-1]
