# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""``+metrics=pass_at_k``; what verl's validation logs with it is in ``test_end_to_end``."""

import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
from verl.utils.import_utils import load_class_from_fqn

from verl_resrl.integration.pass_at_k import PassAtKAgentLoopManager, _final_keys, named


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
