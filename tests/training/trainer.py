# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Runs of verl's trainer on a CPU: a task of a random model, prompts and a reward, and the metrics of its steps."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import ray
from hydra import compose, initialize_config_module

from tests.integration.engines import save_model
from verl_resrl.cpu.hydra_callback import SelectCPU

REWARD = """
def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    return float(solution_str.count("7") > 1)
"""
PROMPTS, RESPONSES = 4, 8


def make_task(folder: Path, **options: Any) -> Path:
    """Write a random model (with more options of its configuration), prompts, and a reward that some responses earn."""
    save_model("Llama", folder, **options)
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


def run(
    method: str, task: Path, out: Path, monkeypatch: pytest.MonkeyPatch, *overrides: str, device: str = "cpu"
) -> list[dict[str, Any]]:
    """Train two steps as ``python -m verl.trainer.main_ppo +device=cpu +method=...`` does.

    Returns:
        Metrics of each step of this run.
    """
    from verl.trainer.main_ppo import TaskRunnerV1, run_ppo
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import validate_config

    monkeypatch.setenv("VERL_FILE_LOGGER_ROOT", str(out))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # which the callback sets, and monkeypatch then brings back
    with initialize_config_module("verl.trainer.config", version_base=None):
        config = compose(
            "ppo_trainer",
            overrides=[
                f"+device={device}",
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
    SelectCPU().on_job_start(config)
    validate_config(config, need_reference_policy(config), need_critic(config))
    try:
        run_ppo(config, TaskRunnerV1)
    finally:
        ray.shutdown()
    steps = read_steps(out, method)
    assert steps
    return [steps[step] for step in sorted(steps)]


def read_steps(out: Path, method: str) -> dict[int, dict[str, Any]]:
    """What the last run into a folder has logged: metrics by step."""
    lines = (out / "end_to_end" / f"{method}.jsonl").read_text().splitlines()
    return {entry["step"]: entry["data"] for entry in map(json.loads, lines)}
