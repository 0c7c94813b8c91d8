# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Batches of agent loops and of asynchronous trainers: several trajectories of a session, several policy versions."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from verl import DataProto
from verl.trainer.ppo.core_algos import AdvantageEstimator
from verl.trainer.ppo.v1.utils import compute_advantage_for_multi_trajectories

from tests.integration.engines import make_batch, make_engine, save_model
from tests.integration.test_engine import infer as infer_micro_batches
from tests.integration.test_engine import train, with_advantages
from verl_resrl.integration.advantages import weighted_advantages

RESRL = {"rank": 5, "lambda_pos": 0.3}
# prompt a: session 0 has two trajectories, with the reward of its last one; sessions 1 and 2 have one
SEQUENCES = [("a", 3, 7, 1.0), ("a", 5, 4, 1.0), ("a", 3, 9, 0.0), ("a", 3, 11, 0.0)]
SESSIONS = [0, 0, 1, 2]
KEYS = ["a_0_0", "a_0_1", "a_1_0", "a_2_0"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model("Llama", tmp_path_factory.mktemp("llama"))


def infer(engine: Any, data: Any) -> dict[str, torch.Tensor]:
    return infer_micro_batches(engine, data, micro_batch_size_per_gpu=len(SEQUENCES))


def batch(**fields: Any) -> Any:
    data = make_batch(SEQUENCES)
    for name, values in fields.items():
        data[name] = torch.tensor(values)
    return data


def test_several_trajectories_stop_with_an_estimator_that_counts_them_as_sessions(model: Path) -> None:
    with pytest.raises(ValueError, match=r"1 more trajectories than sessions.*set algorithm\.adv_estimator=grpo"):
        infer(make_engine(model, RESRL), batch(session_id=SESSIONS))


def test_one_trajectory_for_each_session_is_fine(model: Path) -> None:
    infer(make_engine(model, RESRL), batch(session_id=[0, 1, 2, 3]))


def test_several_trajectories_share_the_statistics_of_their_group_as_in_grpo(model: Path) -> None:
    """Through both halves: verl's advantages by session, then our weights and lambda_pos in the update."""
    engine = make_engine(model, RESRL, adv_estimator="grpo")
    data = batch(session_id=SESSIONS)
    output = infer(engine, data)
    weights = output["resrl_weights"]
    assert (weights.unbind()[2] < 1).any()  # negative tokens of all trajectories have weights

    rows = make_batch(SEQUENCES)
    proto = DataProto.from_dict(
        {
            "token_level_rewards": rows["rm_scores"].to_padded_tensor(0.0),
            "response_mask": rows["response_mask"].to_padded_tensor(0),
        },
        non_tensors={"uid": np.array(["a"] * 4, dtype=object)},
    )
    verls = compute_advantage_for_multi_trajectories(proto, KEYS, AdvantageEstimator.GRPO, config={})
    # three sessions with rewards 1, 0, 0
    deviation = np.std([1, 0, 0], ddof=1)
    expected = np.array([2 / 3, 2 / 3, -1 / 3, -1 / 3]) / (deviation + 1e-6)
    np.testing.assert_allclose(verls.batch["advantages"][:, 0], expected, rtol=1e-5)

    data = with_advantages(data, output["log_probs"], SEQUENCES)
    advantages = [torch.full((length,), float(a)) for a, (_, _, length, _) in zip(expected, SEQUENCES, strict=True)]
    data["advantages"] = torch.nested.as_nested_tensor(advantages, layout=torch.jagged)
    data["resrl_weights"] = weights
    final = weighted_advantages(data, weights, engine._resrl, "grpo").unbind()
    torch.testing.assert_close(final[0], 0.3 * advantages[0])
    torch.testing.assert_close(final[1], 0.3 * advantages[1])
    torch.testing.assert_close(final[2], weights.unbind()[2] * advantages[2])

    plain_data = batch()
    plain = make_engine(model)
    plain_data = with_advantages(plain_data, infer(plain, plain_data)["log_probs"], SEQUENCES)
    plain_data["advantages"] = torch.nested.as_nested_tensor(list(final), layout=torch.jagged)
    ours, theirs = train(engine, data, "vanilla"), train(plain, plain_data, "vanilla")
    assert ours["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=1e-6)


def test_versions_of_the_policy_that_sampled_do_not_matter(model: Path) -> None:
    """Hidden states are those of one forward pass of the old policy, whoever sampled the tokens."""
    mixed = batch(global_steps=[3, 5, 4, 5])
    weights = infer(make_engine(model, RESRL), mixed)["resrl_weights"].values()
    same = infer(make_engine(model, RESRL), batch(global_steps=[5, 5, 5, 5]))["resrl_weights"].values()
    assert torch.equal(weights, same)
