# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Real training steps: verl's trainer, Ray, the FSDP2 engine and the rollout, on a CPU."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import ray
from hydra import compose, initialize_config_module

from tests.engines import save_model
from verl_resrl.cpu.platform import CPUPlatform

pytestmark = pytest.mark.e2e

REWARD = """
def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    return float(solution_str.count("7") > 1)
"""
PROMPTS, RESPONSES = 4, 8


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model, prompts, and a reward that some responses earn."""
    folder = tmp_path_factory.mktemp("task")
    save_model("Llama", folder)
    (folder / "reward.py").write_text(REWARD)
    rows = [
        {
            "data_source": "test",
            "prompt": [{"role": "user", "content": f"t{3 + i}"}],
            "reward_model": {"style": "rule", "ground_truth": ""},
            "extra_info": {"index": i, "split": "train"},
        }
        for i in range(2 * PROMPTS)
    ]
    pd.DataFrame(rows).to_parquet(folder / "data.parquet")
    return folder


def run(method: str, task: Path, out: Path, monkeypatch: pytest.MonkeyPatch, *overrides: str) -> list[dict[str, Any]]:
    """Train two steps as ``python -m verl.trainer.main_ppo +device=cpu +method=...`` does; metrics of each step."""
    from verl.plugin.platform.platform_manager import set_platform
    from verl.trainer.main_ppo import TaskRunnerV1, run_ppo
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import validate_config

    monkeypatch.setenv("VERL_FILE_LOGGER_ROOT", str(out))
    set_platform(CPUPlatform())
    with initialize_config_module("verl.trainer.config", version_base=None):
        config = compose(
            "ppo_trainer",
            overrides=[
                "+device=cpu",
                f"+method={method}",
                f"data.train_files={task}/data.parquet",
                f"data.val_files={task}/data.parquet",
                f"data.train_batch_size={PROMPTS}",
                "data.max_prompt_length=8",
                "data.max_response_length=12",
                f"actor_rollout_ref.model.path={task}",
                f"actor_rollout_ref.rollout.n={RESPONSES}",
                f"actor_rollout_ref.actor.ppo_mini_batch_size={PROMPTS}",
                "actor_rollout_ref.actor.optim.lr=1e-3",
                f"reward.custom_reward_function.path={task}/reward.py",
                "trainer.logger=[file]",
                "trainer.project_name=end_to_end",
                f"trainer.experiment_name={method}",
                f"trainer.default_local_dir={out}/checkpoints",
                "trainer.total_training_steps=2",
                "trainer.val_before_train=False",
                *overrides,
            ],
        )
    validate_config(config, need_reference_policy(config), need_critic(config))
    try:
        run_ppo(config, TaskRunnerV1)
    finally:
        ray.shutdown()
    lines = (out / "end_to_end" / f"{method}.jsonl").read_text().splitlines()
    steps = [json.loads(line) for line in lines]
    assert [step["step"] for step in steps] == [1, 2]
    return [step["data"] for step in steps]


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

    # a run repeats exactly; only what compares the rollout's probabilities with the actor's varies by a rounding
    varies = ("timing", "perf/", "resrl/seconds", "rollout_corr/", "training/rollout_")
    again = run("resrl", task, tmp_path / "b", monkeypatch, "resrl.rank=4")
    for before, after in zip((first, second), again, strict=True):
        assert {name for name in before if before[name] != after[name] and not any(v in name for v in varies)} == set()


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
