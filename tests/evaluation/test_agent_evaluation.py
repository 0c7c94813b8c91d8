# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""``resrl eval --benchmark`` of agents: what verl is asked, what is read from its log, and one game for real."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.evaluation.evaluations import call
from tests.integration.test_composition import composed
from tests.training.test_agent_training import games, save_gambler  # noqa: F401 (a fixture)
from verl_resrl.evaluation.agents import settings_of, successes, verl_command
from verl_resrl.evaluation.settings import EvaluationError
from verl_resrl.tasks.benchmarks import AGENT_BENCHMARKS


@pytest.mark.parametrize("name", AGENT_BENCHMARKS)
@pytest.mark.parametrize("gpus", [0, 2])
def test_verl_is_asked_for_one_validation_under_the_protocol(name: str, gpus: int, tmp_path: Path) -> None:
    (tmp_path / "it's.parquet").touch()
    settings = settings_of(name, "owner/model", {"data": (tmp_path / "it's.parquet",), "n": 3, "limit": 5})
    command = verl_command(settings, tmp_path, gpus)
    config = composed(*(text for text in command[3:] if not text.startswith("hydra.")))
    assert (config.trainer.val_only, config.trainer.val_before_train) == (True, True)
    assert config.data.val_files == [str(tmp_path / "it's.parquet")]
    assert (config.data.val_max_samples, config.data.shuffle) == (5, False)  # the first ones
    rollout, protocol = config.actor_rollout_ref.rollout, AGENT_BENCHMARKS[name]
    assert (rollout.val_kwargs.n, rollout.val_kwargs.temperature) == (3, protocol.temperature)
    assert rollout.val_kwargs.do_sample == (protocol.temperature > 0)
    assert rollout.name == ("vllm" if gpus else "hf")
    assert rollout.agent.default_agent_loop == ("bfcl" if name == "bfcl" else "text_environment")
    assert (config.trainer.device, config.trainer.n_gpus_per_node) == (("cuda", 2) if gpus else ("cpu", 1))


def test_successes_are_those_of_verls_log() -> None:
    metrics = {"val-core/a_seen/acc/mean@2": 0.5, "val-core/a_unseen/acc/mean@2": 0.25, "val-aux/a_seen/x": 9.0}
    found = successes(AGENT_BENCHMARKS["alfworld"], metrics)
    assert found == {"a_seen": 0.5, "a_unseen": 0.25, "success_rate": 0.375}
    assert successes(AGENT_BENCHMARKS["webshop"], {}) == successes(AGENT_BENCHMARKS["bfcl"], {}) == {}
    categories = ("base", "miss_func", "miss_param", "long_context")
    metrics = {f"val-core/bfcl_multi_turn_{c}/acc/mean@1": i / 8 for i, c in enumerate(categories)}
    assert successes(AGENT_BENCHMARKS["bfcl"], metrics)["multi_turn_overall"] == pytest.approx(6 / 32)
    del metrics["val-core/bfcl_multi_turn_miss_func/acc/mean@1"]
    with pytest.raises(EvaluationError, match="no task of multi_turn_miss_func was played: raise --limit"):
        successes(AGENT_BENCHMARKS["bfcl"], metrics)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "m"], "data/alfworld/test_seen.parquet does not exist: python scripts/prepare_data.py alfworld"),
        (["--run", "r"], "--benchmark alfworld needs --model"),
        (["--model", "m", "--token-weights", "2"], "--token-weights means nothing for --benchmark alfworld"),
        (["--model", "m", "--data", __file__, "--n", "0"], "--n 0 must be 1 or more"),
    ],
)
def test_wrong_options_are_named(arguments: list[str], message: str) -> None:
    code, _, errors = call("eval", "--benchmark", "alfworld", *arguments)
    assert code == 1
    assert errors.startswith(f"error: {message}")
    assert errors.count("\n") == 1


def test_a_file_that_is_missing_is_named() -> None:
    with pytest.raises(EvaluationError, match=r"x\.parquet does not exist"):
        settings_of("bfcl", "m", {"data": (Path("x.parquet"),)})


@pytest.mark.e2e
@pytest.mark.long
def test_textworld_is_played_by_verl(games: dict[str, Path], tmp_path: Path) -> None:  # noqa: F811
    save_gambler(tmp_path / "model")
    arguments = ["eval", "--benchmark", "textworld", "--model", str(tmp_path / "model"), "--out", str(tmp_path / "out")]
    arguments += ["--data", str(games["train"]), "--n", "4", "--temperature", "1", "--backend", "hf"]
    agent = "actor_rollout_ref.rollout.agent"
    settings = f"{agent}.max_steps=4 {agent}.max_tokens_per_turn=1"
    lengths = ["--max-prompt-tokens", "256", "--max-tokens", "512", "--verl-args", settings]
    code, output, errors = call(*arguments, *lengths)
    assert code == 0, errors
    summary = json.loads((tmp_path / "out" / "agent_summary.json").read_text())
    played = [json.loads(line) for line in (tmp_path / "out" / "episodes" / "0.jsonl").read_text().splitlines()]
    assert len(played) == 4 * pq.read_metadata(games["train"]).num_rows
    assert summary["success_rate"] == pytest.approx(sum(row["score"] > 0 for row in played) / len(played))
    assert f"success_rate: {summary['success_rate']:.3f}" in output
