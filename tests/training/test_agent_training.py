# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""ResRL on conversations of many turns: through verl's trainer, and which tokens count."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import ray
import torch
from omegaconf import DictConfig
from tensordict import TensorDict
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from verl.experimental.agent_loop.agent_loop import AgentLoopOutput
from verl.utils import tensordict_utils as tu

from tests.integration.agent_loops import byte_tokenizer, in_turn, make_config, play
from tests.integration.engines import last_layer_inputs, make_engine, save_model, show_residuals
from tests.integration.test_engine import infer
from verl_resrl import ResRLConfig, token_weights
from verl_resrl.cpu.hydra_callback import SelectCPU
from verl_resrl.integration.agent_loops.text_environment import TextEnvironmentLoop
from verl_resrl.integration.estimators import resrl
from verl_resrl.tasks.textworld_data import GameSettings, prepare

PROMPTS, EPISODES, STEPS = 2, 8, 4
SPECIAL = ["<pad>", "<eos>", "<unk>", "<user>", "<assistant>"]
WORDS = [*"1234567"]  # numbers of actions


def save_gambler(folder: Path) -> None:
    """A random model that says numbers of actions, so that it wins simple games now and then."""
    words = [*SPECIAL, *WORDS]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")
    fast.chat_template = (
        "{% for message in messages %} <{{ message['role'] }}> {{ message['content'] }}{% endfor %}"
        "{% if add_generation_prompt %} <assistant>{% endif %}"
    )
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=128,
        head_dim=32,  # which vLLM has for CPUs
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=1024,
        bos_token_id=None,
        eos_token_id=1,
        pad_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder)


@pytest.fixture(scope="module")
def games(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    pytest.importorskip("textworld", reason="needs textworld")
    folder = tmp_path_factory.mktemp("textworld")
    return prepare(folder, train=PROMPTS, test=1, settings=GameSettings(rooms=1, objects=2, quest_length=1))


def test_what_the_environment_says_has_no_part_in_the_weights(
    games: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    show_residuals(monkeypatch)
    row = pq.read_table(games["train"]).to_pylist()[0]
    goal = json.loads(row["reward_model"]["ground_truth"])
    config = make_config("+agent=textworld", "data.max_prompt_length=5000", "data.max_response_length=9000")
    config.actor_rollout_ref.rollout.agent.max_steps = 3
    scripts = [["look", *goal], ["look", "inventory", "look"], ["examine it", "I give up", "dance"], goal]
    episodes = [play(TextEnvironmentLoop, config, byte_tokenizer(), row, in_turn(said))[0] for said in scripts]
    positive = torch.tensor([episode.reward_score > 0 for episode in episodes])
    assert positive.tolist() == [True, False, False, True]

    data = as_batch(episodes)
    folder = save_model("Llama", tmp_path, vocab_size=300, max_position_embeddings=4096)
    output = infer(make_engine(folder, {"rank": 4}), data, micro_batch_size_per_gpu=len(episodes))
    states = torch.cat(last_layer_inputs(folder, data))
    spoken = data["response_mask"].values().bool()
    sequence = torch.repeat_interleave(torch.arange(4), data["response_mask"].offsets().diff())
    assert 0.01 < spoken.float().mean() < 0.2  # most of it is the environment's
    alone = token_weights(
        states[spoken],
        sequence[spoken],
        torch.zeros(4, dtype=torch.int64),
        positive,
        config=ResRLConfig(rank=4),
        seed=42,
    )
    weights, residual = output["resrl_weights"].values(), output["resrl_residual"].values()
    torch.testing.assert_close(weights[spoken], alone.weights, rtol=0, atol=1e-3)
    torch.testing.assert_close(residual[spoken], alone.residual, rtol=1e-3, atol=1e-5, equal_nan=True)
    assert residual[~spoken].isnan().all()
    assert alone.weights[~positive[sequence[spoken]]].std() > 0.1

    mask = data["response_mask"].to_padded_tensor(0)
    advantages, _ = resrl(data["rm_scores"].to_padded_tensor(0.0), mask, np.zeros(4), DictConfig({}))
    assert (advantages != 0).equal(mask.bool())


def as_batch(episodes: list[AgentLoopOutput]) -> TensorDict:
    """Episodes of one prompt as verl's worker puts them together for the trainer."""
    fields = [episode.as_dict() for episode in episodes]
    rows = {name: [field[name] for field in fields] for name in ("prompts", "responses", "response_mask", "rm_scores")}
    rows["input_ids"] = [torch.cat([field["prompts"], field["responses"]]) for field in fields]
    rows["position_ids"] = [torch.arange(len(ids)) for ids in rows["input_ids"]]
    rows["loss_mask"] = rows["response_mask"]
    tensors = {name: torch.nested.as_nested_tensor(values, layout=torch.jagged) for name, values in rows.items()}
    return tu.get_tensordict(
        {**tensors, "uid": ["game"] * len(episodes)},
        non_tensor_dict={"temperature": 1.0, "calculate_entropy": True},
    )


@pytest.mark.e2e
@pytest.mark.long
@pytest.mark.parametrize("rollout", ["hf", pytest.param("vllm", marks=pytest.mark.vllm)])
def test_resrl_trains_on_textworld(
    rollout: str, games: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from verl.trainer.main_ppo import TaskRunnerV1, run_ppo
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import validate_config

    save_gambler(tmp_path / "model")
    monkeypatch.setenv("VERL_FILE_LOGGER_ROOT", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # which the callback sets, and monkeypatch then brings back
    config = make_config(
        "+device=cpu",
        f"rollout={rollout}",
        "+method=resrl",
        "+agent=textworld",
        f"actor_rollout_ref.rollout.agent.max_steps={STEPS}",
        "actor_rollout_ref.rollout.agent.max_tokens_per_turn=1",
        f"data.train_files={games['train']}",
        f"data.val_files={games['test']}",
        f"data.train_batch_size={PROMPTS}",
        "data.max_prompt_length=256",
        "data.max_response_length=512",
        f"actor_rollout_ref.model.path={tmp_path}/model",
        f"actor_rollout_ref.rollout.n={EPISODES}",
        "actor_rollout_ref.rollout.val_kwargs.do_sample=True",
        "actor_rollout_ref.rollout.val_kwargs.temperature=1",
        f"actor_rollout_ref.actor.ppo_mini_batch_size={PROMPTS}",
        "actor_rollout_ref.actor.optim.lr=1e-3",
        "resrl.rank=2",
        "resrl.min_positive_tokens=2",
        "trainer.logger=[file]",
        "trainer.project_name=agents",
        "trainer.experiment_name=textworld",
        f"trainer.default_local_dir={tmp_path}/checkpoints",
        "trainer.total_training_steps=2",
        "trainer.val_before_train=True",
    )
    SelectCPU().on_job_start(config)
    validate_config(config, need_reference_policy(config), need_critic(config))
    try:
        run_ppo(config, TaskRunnerV1)
    finally:
        ray.shutdown()
    lines = (tmp_path / "agents" / "textworld.jsonl").read_text().splitlines()
    steps: dict[int, dict[str, Any]] = {}
    for line in map(json.loads, lines):
        steps.setdefault(line["step"], {}).update(line["data"])
    assert set(steps) == {0, 1, 2}
    assert 0 <= steps[0]["val-core/textworld/acc/mean@1"] <= 1
    for step in (1, 2):
        metrics = steps[step]
        assert 0 < metrics["critic/score/mean"] < 1
        assert metrics["actor/grad_norm"] > 0
        assert metrics["training/rollout_probs_diff_max"] < 1e-5
        assert metrics["actor/resrl/active_group_frac"] > 0
        # an instruction, and then an action and an observation in turn: more than one action was taken
        assert 3 < metrics["training/num_turns/mean"] <= 2 * STEPS
