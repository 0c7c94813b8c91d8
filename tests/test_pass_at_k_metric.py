# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""``+metrics=pass_at_k``: what verl's validation logs, against the responses that it dumped."""

import itertools
import json
from collections import defaultdict
from pathlib import Path

import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
from verl.utils.import_utils import load_class_from_fqn

from tests.test_end_to_end import run, task  # noqa: F401 (a fixture)
from verl_resrl.integration.pass_at_k import PassAtKAgentLoopManager, _final_keys, named

SAMPLES = 4


def share_of_subsets(right: list[bool], k: int) -> float:
    """Pass@k by its definition: the share of subsets of k responses that hold a right one."""
    subsets = list(itertools.combinations(right, k))
    return sum(any(subset) for subset in subsets) / len(subsets)


@pytest.mark.e2e
def test_logged_numbers_are_those_of_the_dumped_responses(
    task: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
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


def test_the_switch_sets_the_manager_and_nothing_else() -> None:
    with initialize_config_module("verl.trainer.config", version_base=None):
        base, switched = (
            OmegaConf.to_container(compose("ppo_trainer", overrides=overrides))
            for overrides in ([], ["+metrics=pass_at_k"])
        )
    agent = switched["actor_rollout_ref"]["rollout"]["agent"]
    assert load_class_from_fqn(agent.pop("agent_loop_manager_class")) is PassAtKAgentLoopManager
    assert switched == base


def test_a_prompt_against_hand_counted_numbers() -> None:
    assert named([False, True, False, False]) == pytest.approx({"pass@1": 1 / 4, "pass@2": 1 / 2, "pass@4": 1})
    assert named([True, False, False]) == pytest.approx({"pass@1": 1 / 3, "pass@2": 2 / 3})  # one session failed
    assert named([False]) == {"pass@1": 0.0}


def test_a_session_counts_once_by_its_last_output() -> None:
    keys = ["b_0_0", "a_1_0", "a_0_0", "a_0_10", "a_0_9", "a_10_0"]
    assert _final_keys(keys) == ["a_0_10", "a_1_0", "a_10_0", "b_0_0"]


def test_scores_that_come_too_late_are_refused() -> None:
    with initialize_config_module("verl.trainer.config", version_base=None):
        config = compose("ppo_trainer", overrides=["+metrics=pass_at_k"])
    with pytest.raises(ValueError, match="a colocated reward model comes later: set reward"):
        PassAtKAgentLoopManager(config, llm_client=None, reward_loop_worker_handles=None)
