# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Estimators and reward manager through verl's registries, against their formulas."""

import asyncio
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_module
from omegaconf import DictConfig, OmegaConf
from torch import Tensor
from verl import DataProto
from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY, get_adv_estimator_fn
from verl.trainer.ppo.ray_trainer import compute_advantage
from verl.trainer.ppo.reward import load_reward_manager

from tests.integration.test_composition import composed
from verl_resrl.integration import estimators

ESTIMATORS = ("resrl", "psr", "nsr", "w_reinforce")
# groups in any order, as verl passes them: uid strings in an array of objects
UIDS = np.array(["q7", "a", "q7", "solo", "q7", "a", "q7", "same", "same"], dtype=object)
REWARDS = [1.0, 0.0, 0.0, 1.0, 0.0, 0.5, 1.0, 1.0, 1.0]
LENGTHS = [3, 1, 4, 2, 4, 2, 1, 3, 4]
WIDTH = 4
LAMBDA = 0.25


def algorithm(**settings: Any) -> DictConfig:
    return OmegaConf.create({"use_kl_in_reward": False, "resrl": {"lambda_pos": LAMBDA}} | settings)


def batch(rewards: list[float], lengths: list[int]) -> tuple[Tensor, Tensor]:
    """Put each reward on the last token of its response."""
    mask = torch.tensor([[float(t < length) for t in range(WIDTH)] for length in lengths])
    token_level = torch.zeros(len(rewards), WIDTH)
    for row, (reward, length) in enumerate(zip(rewards, lengths, strict=True)):
        token_level[row, length - 1] = reward
    return token_level, mask


def estimate(name: str, rewards: list[float] = REWARDS, config: DictConfig | None = None) -> Tensor:
    token_level, mask = batch(rewards, LENGTHS)
    advantages, returns = get_adv_estimator_fn(name)(
        token_level_rewards=token_level, response_mask=mask, index=UIDS, config=config or algorithm()
    )
    assert torch.equal(advantages, returns)
    assert bool((advantages[mask == 0] == 0).all())
    return advantages


def on_tokens(values: list[float]) -> Tensor:
    return torch.tensor(values)[:, None] * batch(REWARDS, LENGTHS)[1]


def grpo_by_hand() -> list[float]:
    """(r - mean) / standard deviation over each group, by hand; verl leaves the reward of a group of one as it is."""
    q7 = 0.5 / math.sqrt(1 / 3)  # 1 0 0 1: mean 0.5, unbiased variance 1/3
    a = 0.25 / math.sqrt(0.125)  # 0 0.5: mean 0.25, unbiased variance 0.125
    return [q7, -a, -q7, 1.0, -q7, a, q7, 0.0, 0.0]


def test_resrl_is_grpo_with_positive_sequences_scaled() -> None:
    expected = [advantage * (LAMBDA if r > 0 else 1) for advantage, r in zip(grpo_by_hand(), REWARDS, strict=True)]
    torch.testing.assert_close(estimate("resrl"), on_tokens(expected), rtol=1e-5, atol=1e-5)


def test_resrl_follows_norm_adv_by_std_in_grpo() -> None:
    centred = [0.5, -0.25, -0.5, 1.0, -0.5, 0.25, 0.5, 0.0, 0.0]
    expected = [advantage * (LAMBDA if r > 0 else 1) for advantage, r in zip(centred, REWARDS, strict=True)]
    advantages = estimate("resrl", config=algorithm(norm_adv_by_std_in_grpo=False))
    torch.testing.assert_close(advantages, on_tokens(expected), rtol=1e-6, atol=1e-6)


def test_resrl_with_lambda_one_is_verls_grpo() -> None:
    token_level, mask = batch(REWARDS, LENGTHS)
    grpo, _ = get_adv_estimator_fn("grpo")(token_level_rewards=token_level, response_mask=mask, index=UIDS)
    assert torch.equal(estimate("resrl", config=algorithm(resrl={"lambda_pos": 1.0})), grpo)


@pytest.mark.parametrize(
    ("name", "positive", "negative"), [("psr", 1.0, 0.0), ("nsr", 0.0, -1.0), ("w_reinforce", LAMBDA, -1.0)]
)
def test_baseline_is_a_constant_per_sign(name: str, positive: float, negative: float) -> None:
    expected = on_tokens([positive if reward > 0 else negative for reward in REWARDS])
    torch.testing.assert_close(estimate(name), expected)


@pytest.mark.parametrize("reward", [0.0, 1.0, -1.0])
def test_equal_rewards_teach_resrl_nothing(reward: float) -> None:
    advantages = estimate("resrl", [reward] * len(REWARDS))
    solo = UIDS == "solo"
    assert bool((advantages[~solo] == 0).all())
    torch.testing.assert_close(advantages[solo][0, 0], torch.tensor(reward * (LAMBDA if reward > 0 else 1.0)))


@pytest.mark.parametrize("name", ESTIMATORS)
def test_threshold_decides_who_is_positive(name: str) -> None:
    config = algorithm(resrl={"lambda_pos": LAMBDA, "positive_threshold": 0.5})  # 0.5 itself is not above
    binary = [float(reward > 0.5) for reward in REWARDS]
    if name == "resrl":
        expected = [a * (LAMBDA if b else 1) for a, b in zip(grpo_by_hand(), binary, strict=True)]
    else:
        p, n = {"psr": (1.0, 0.0), "nsr": (0.0, -1.0), "w_reinforce": (LAMBDA, -1.0)}[name]
        expected = [p if b else n for b in binary]
    torch.testing.assert_close(estimate(name, config=config), on_tokens(expected), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["resrl", "w_reinforce"])
def test_lambda_defaults_to_the_papers(name: str) -> None:
    advantages = estimate(name, config=OmegaConf.create({"use_kl_in_reward": False}))
    assert torch.equal(advantages, estimate(name, config=algorithm(resrl={"lambda_pos": 0.1})))


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_reward_that_is_not_finite_is_named(name: str, value: float) -> None:
    rewards = REWARDS.copy()
    rewards[2] = rewards[5] = value
    with pytest.raises(ValueError, match=r"^ResRL: the reward of 2 of 9 sequences is not finite") as error:
        estimate(name, rewards)
    assert f"first: row 2, reward {value}" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_kl_in_reward_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"^ResRL: algorithm\.use_kl_in_reward=True .* set it to False") as error:
        estimate(name, config=algorithm(use_kl_in_reward=True))
    assert "use_kl_loss=True" in str(error.value)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_setting_out_of_range_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=r"^ResRL: lambda_pos=-1 must be"):
        estimate(name, config=algorithm(resrl={"lambda_pos": -1}))


@pytest.mark.parametrize("name", ESTIMATORS)
def test_verls_trainer_calls_the_estimator(name: str) -> None:
    token_level, mask = batch(REWARDS, LENGTHS)
    data = DataProto.from_dict(
        tensors={"token_level_rewards": token_level, "response_mask": mask}, non_tensors={"uid": UIDS}
    )
    data = compute_advantage(data, adv_estimator=name, config=algorithm())
    assert torch.equal(data.batch["advantages"], estimate(name))


# -- reward manager ------------------------------------------------------------------------------------------------


class Digits:
    """A tokenizer that writes token ids."""

    def decode(self, ids: Tensor, skip_special_tokens: bool = True) -> str:
        return " ".join(map(str, ids.tolist()))


@pytest.fixture
def event_loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)  # verl's manager takes the current one
    yield loop
    loop.close()


@pytest.fixture(scope="module")
def reward_config(tmp_path_factory: pytest.TempPathFactory) -> DictConfig:
    """Composed by verl's entry point, with a reward function that returns extra_info's own reward."""
    function = tmp_path_factory.mktemp("reward") / "function.py"
    function.write_text(
        "def score(data_source, solution_str, ground_truth, extra_info):\n"
        "    assert data_source == 'unit' and ground_truth == 'truth'\n"
        "    return {'score': extra_info['reward'], 'seen': solution_str}\n"
    )
    with initialize_config_module("verl.trainer.config", version_base=None):
        return compose(
            "ppo_trainer",
            overrides=[
                "+reward_manager=length_scaled",
                "reward.reward_kwargs.length_scale.start=2",
                "reward.reward_kwargs.length_scale.end=6",
                "reward.reward_kwargs.length_scale.floor=0.5",
                f"reward.custom_reward_function.path={function}",
                "reward.custom_reward_function.name=score",
            ],
        )


def score(config: DictConfig, loop: asyncio.AbstractEventLoop, response: int, extra_info: dict[str, Any] | None) -> Any:
    """Score one response of ``response`` tokens in a field of 8, after a prompt of 3 tokens in a field of 5."""
    manager = load_reward_manager(config, Digits())
    assert type(manager).__name__ == "LengthScaledRewardManager"
    mask = torch.tensor([[0] * 2 + [1] * 3 + [1] * response + [0] * (8 - response)])
    non_tensors = {
        "data_source": np.array(["unit"], dtype=object),
        "reward_model": np.array([{"ground_truth": "truth"}], dtype=object),
    }
    if extra_info is not None:
        non_tensors["extra_info"] = np.array([extra_info], dtype=object)
    data = DataProto.from_dict(
        tensors={
            "prompts": torch.zeros(1, 5, dtype=torch.int64),
            "responses": torch.arange(8)[None],
            "attention_mask": mask,
        },
        non_tensors=non_tensors,
    )
    return loop.run_until_complete(manager.run_single(data))


@pytest.mark.parametrize(("response", "factor"), [(1, 1.0), (2, 1.0), (3, 0.875), (4, 0.75), (6, 0.5), (8, 0.5)])
def test_training_reward_is_scaled_by_length(
    reward_config: DictConfig, event_loop: asyncio.AbstractEventLoop, response: int, factor: float
) -> None:
    result = score(reward_config, event_loop, response, {"split": "train", "reward": 2.0})
    assert result["reward_score"] == pytest.approx(2.0 * factor)
    assert result["reward_extra_info"]["seen"] == " ".join(map(str, range(response)))
    assert result["reward_extra_info"]["score"] == 2.0  # what the reward function said stays on record


@pytest.mark.parametrize("split", ["test", "val", "validation", ""])
def test_validation_reward_is_untouched(
    reward_config: DictConfig, event_loop: asyncio.AbstractEventLoop, split: str
) -> None:
    assert score(reward_config, event_loop, 8, {"split": split, "reward": 2.0})["reward_score"] == 2.0


@pytest.mark.parametrize("reward", [0.0, -1.0])
def test_training_reward_that_is_not_positive_is_untouched(
    reward_config: DictConfig, event_loop: asyncio.AbstractEventLoop, reward: float
) -> None:
    assert score(reward_config, event_loop, 8, {"split": "train", "reward": reward})["reward_score"] == reward


@pytest.mark.parametrize("extra_info", [None, {"reward": 1.0}, {"reward": 1.0, "split": None}])
def test_row_without_split_is_refused(
    reward_config: DictConfig, event_loop: asyncio.AbstractEventLoop, extra_info: dict[str, Any] | None
) -> None:
    with pytest.raises(ValueError, match=r"^ResRL: .* needs extra_info\.split in every row") as error:
        score(reward_config, event_loop, 4, extra_info)
    assert "\n" not in str(error.value)


def test_bad_length_scale_is_named_at_start(reward_config: DictConfig, event_loop: asyncio.AbstractEventLoop) -> None:
    config = reward_config.copy()
    config.reward.reward_kwargs.length_scale.end = 1
    with pytest.raises(ValueError, match="start=2, end=1"):
        load_reward_manager(config, Digits())


# -- conventions of rewards ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rewards", "threshold", "kind", "better"),
    [
        ([1.1, 0.1, 0.1, 1.1], 0.0, "positive", "0.6"),  # a bonus for the format
        ([0.0, -1.0, -1.0], 0.0, "negative", "-0.5"),
        ([0.3, 1.0, 0.3], 0.0, "positive", "0.65"),  # partial credit
        ([1.0, 0.0], 1.0, "negative", "0.5"),
    ],
)
def test_a_threshold_that_separates_nothing_is_said_once(
    rewards: list[float],
    threshold: float,
    kind: str,
    better: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(estimators, "_warned", False)
    config = algorithm(resrl={"positive_threshold": threshold})
    rows = [rewards[i % len(rewards)] for i in range(len(REWARDS))]
    for name in ESTIMATORS:
        estimate(name, rows, config)
    (message,) = caplog.messages
    assert f"responses of a step are {kind}: " in message
    assert f"set resrl.positive_threshold={better} " in message


def test_rows_that_fill_a_batch_have_no_part_in_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(estimators, "_warned", False)
    for rewards, said in (([-1.0, -1.0, 0.0], 0), ([0.1, 1.0, 0.0], 1)):  # the last is such a row, whose reward is 0
        token_level, mask = batch(rewards, [2, 3, 1])
        mask[-1] = 0
        uids = np.array(["q", "q", "pad1"], dtype=object)
        get_adv_estimator_fn("resrl")(
            token_level_rewards=token_level, response_mask=mask, index=uids, config=algorithm()
        )
        assert len(caplog.messages) == said


def test_several_trajectories_of_a_session_are_refused_where_no_engine_does() -> None:
    most = max(list(UIDS).count(uid) for uid in UIDS)
    estimate("resrl", config=algorithm(resrl_rollouts=most))
    with pytest.raises(ValueError, match=f"a prompt has {most} trajectories, more than .*rollout.n={most - 1}"):
        estimate("resrl", config=algorithm(resrl_rollouts=most - 1))
    assert composed("+method=grpo_pos").algorithm.resrl_rollouts == composed().actor_rollout_ref.rollout.n


@pytest.mark.parametrize("rewards", [[1.0, 0.0], [1.0], [0.0], [1.0, -1.0], [0.7, 0.0, 1.0]])
def test_rewards_that_are_separated_or_equal_are_in_order(
    rewards: list[float], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(estimators, "_warned", False)
    estimate("resrl", [rewards[i % len(rewards)] for i in range(len(REWARDS))])
    assert not caplog.messages


def test_every_estimator_of_ours_is_checked_at_the_start() -> None:
    ours = {name for name, function in ADV_ESTIMATOR_REGISTRY.items() if function.__module__ == estimators.__name__}
    assert set(estimators.OWN_ESTIMATORS) == {str(name) for name in ours}
