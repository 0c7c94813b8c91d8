# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""What stops a run before it starts, or is said then: through the callback that every method brings along."""

import json
import logging
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig
from transformers import AutoTokenizer, BltConfig, Gemma3nTextConfig, LongcatFlashConfig

from tests.integration.engines import save_model
from tests.integration.test_composition import composed
from verl_resrl.integration.last_words import LastWords, cause
from verl_resrl.integration.start_checks import StartChecks
from verl_resrl.integration.tap import num_decoder_layers

ROW = {
    "data_source": "x",
    "prompt": [{"role": "user", "content": "t3"}],
    "reward_model": {"style": "rule", "ground_truth": "4"},
    "extra_info": {"split": "train"},
}


def data_file(folder: Path, *rows: dict[str, Any]) -> Path:
    pd.DataFrame(list(rows)).to_parquet(folder / "data.parquet")
    return folder / "data.parquet"


def config_of(file: Path, *overrides: str) -> DictConfig:
    return composed("+method=resrl", f"data.train_files={file}", f"data.val_files=[{file}]", *overrides)


def refusal(config: DictConfig, capsys: pytest.CaptureFixture[str]) -> str:
    """The line with which a run is refused; transformers may have written others before."""
    with pytest.raises(SystemExit) as error:
        StartChecks().on_job_start(config)
    assert error.value.code == 1
    return capsys.readouterr().err.splitlines()[-1]


def test_every_method_brings_the_checks(capsys: pytest.CaptureFixture[str]) -> None:
    """In verl's own process, started by its own entry point."""
    import subprocess
    import sys

    command = [sys.executable, "-m", "verl.trainer.main_ppo", "+method=nsr", "--cfg", "hydra", "-p", "hydra.callbacks"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "verl_resrl.integration.start_checks.StartChecks" in result.stdout


def test_sound_files_start(tmp_path: Path) -> None:
    file = data_file(tmp_path, ROW, ROW)
    reward = "reward.custom_reward_function.path=pkg://verl_resrl.tasks.math_reward"
    StartChecks().on_job_start(config_of(file, "+reward_manager=length_scaled", reward))
    StartChecks().on_job_start(config_of(tmp_path / "none.parquet"))  # verl may fetch it


def test_a_missing_column_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = data_file(tmp_path, {key: value for key, value in ROW.items() if key != "reward_model"})
    assert f"error: {file}: column 'reward_model' is missing" in refusal(config_of(file), capsys)
    own = "data.custom_cls.path=own.py"
    StartChecks().on_job_start(config_of(file, own))  # whose rows are its own matter


def test_a_row_without_split_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = data_file(tmp_path, ROW, ROW | {"extra_info": {"split": None}}, ROW)
    StartChecks().on_job_start(config_of(file))  # nobody asks
    line = refusal(config_of(file, "+reward_manager=length_scaled"), capsys)
    assert line.startswith(f"error: {file} row 2: extra_info.split is missing; the length-scaled reward needs it")
    file = data_file(tmp_path, {key: value for key, value in ROW.items() if key != "extra_info"})
    assert "row 1: extra_info.split" in refusal(config_of(file, "+reward_manager=length_scaled"), capsys)


def test_a_ground_truth_that_the_reward_refuses_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Any reward module may have check_ground_truth; that of mathematics has it."""
    reward = tmp_path / "reward.py"
    reward.write_text(
        "def check_ground_truth(gold):\n"
        "    if not isinstance(gold, str): raise ValueError('ground_truth must be a text')\n"
        "def compute_score(**kwargs): return 0.0\n"
    )
    rows = [ROW | {"reward_model": {"ground_truth": gold}} for gold in (4, 5)]
    config = config_of(data_file(tmp_path, *rows), f"reward.custom_reward_function.path={reward}")
    assert refusal(config, capsys).endswith("data.parquet row 1: ground_truth must be a text")
    reward.write_text("def compute_score(**kwargs): return 0.0\n")
    StartChecks().on_job_start(config)


def test_a_tokenizer_without_chat_template_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_model("Llama", tmp_path / "model")
    config = config_of(data_file(tmp_path, ROW), f"actor_rollout_ref.model.path={tmp_path / 'model'}")
    StartChecks().on_job_start(config)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    tokenizer.chat_template = None
    for file in (tmp_path / "model").glob("*template*"):
        file.unlink()
    tokenizer.save_pretrained(tmp_path / "model")
    assert refusal(config, capsys).startswith(f"error: {tmp_path / 'model'}: its tokenizer has no chat template")
    assert cause(config).startswith(f"the tokenizer of {tmp_path / 'model'} has no chat template")


def test_an_architecture_that_is_not_supported_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_model("Llama", tmp_path / "model")
    settings = json.loads((tmp_path / "model" / "config.json").read_text())
    strange = Gemma3nTextConfig(num_hidden_layers=2, layer_types=["full_attention"] * 2).to_dict()
    (tmp_path / "model" / "config.json").write_text(json.dumps(strange | {"torch_dtype": settings.get("dtype")}))
    config = config_of(data_file(tmp_path, ROW), f"actor_rollout_ref.model.path={tmp_path / 'model'}")
    assert "gemma3n_text is not supported: its layers pass on 4 states a token" in refusal(config, capsys)


def test_numbers_of_decoder_layers() -> None:
    assert num_decoder_layers(LongcatFlashConfig(num_layers=3, num_hidden_layers=6)) == 3
    with pytest.raises(ValueError, match=r"^ResRL: blt is not supported: its configuration names no number of decoder"):
        num_decoder_layers(BltConfig())


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("algorithm.adv_estimator=psr", "algorithm.adv_estimator=psr gives wrong responses no advantage"),
        ("algorithm.adv_estimator=grpo_passk", "grpo_passk gives wrong responses no advantage"),
        ("actor_rollout_ref.rollout.n=1", "one response is never right and wrong"),
        ("actor_rollout_ref.actor.policy_loss.loss_mode=geo_mean", "geo_mean averages the advantages of a response"),
    ],
)
def test_what_leaves_nothing_to_weigh_is_said(
    override: str, said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = data_file(tmp_path, ROW)
    with caplog.at_level(logging.WARNING):
        StartChecks().on_job_start(config_of(file, "actor_rollout_ref.rollout.n=8"))
        assert not caplog.messages
        StartChecks().on_job_start(config_of(file, "actor_rollout_ref.rollout.n=8", override))
    (message,) = caplog.messages
    assert said in message


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise KeyError('no such unit')", "row 1 of {file} with KeyError: 'no such unit'"),
        ("return 'right'", "row 1 of {file} with ValueError: could not convert string to float: 'right'"),
        ("return 1.0", "the reward function works on row 1 of {file}: look for 'Error in _run_prompt' further up"),
    ],
)
def test_a_run_whose_rewards_all_failed_ends_with_the_cause(
    body: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = data_file(tmp_path, ROW)
    (tmp_path / "reward.py").write_text(f"def compute_score(**kwargs):\n    {body}\n")
    config = config_of(file, f"reward.custom_reward_function.path={tmp_path / 'reward.py'}")
    job = JobReturn(status=JobStatus.FAILED)
    job.return_value = RuntimeError("Sync replay buffer selected terminal groups with no materializable trajectories.")
    with pytest.raises(SystemExit):
        LastWords().on_job_end(config, job)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: every response of a step failed; ")
    assert line.endswith(said.format(file=file))
    other = JobReturn(status=JobStatus.FAILED)
    other.return_value = RuntimeError("anything else")
    LastWords().on_job_end(config, other)  # Hydra shows its traceback


@pytest.mark.parametrize("mode", ["auto", "resume_path"])
def test_a_checkpoint_of_other_ranks_is_refused(mode: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Any number of machines goes, as long as the ranks are as many as the checkpoint has parts."""
    step = tmp_path / "checkpoints" / "global_step_3"
    (step / "actor").mkdir(parents=True)
    (step.parent / "latest_checkpointed_iteration.txt").write_text("3")
    for rank in range(2):
        (step / "actor" / f"model_world_size_2_rank_{rank}.pt").touch()
    settings = [f"trainer.resume_mode={mode}", f"trainer.default_local_dir={step.parent}"]
    settings += [f"trainer.resume_from_path={step}"] if mode == "resume_path" else []
    file = data_file(tmp_path, ROW)

    def config(nodes: int, ranks: int) -> DictConfig:
        return config_of(file, *settings, f"trainer.nnodes={nodes}", f"trainer.n_gpus_per_node={ranks}")

    StartChecks().on_job_start(config(1, 2))
    StartChecks().on_job_start(config(2, 1))
    for nodes, ranks in ((1, 1), (2, 2)):
        line = refusal(config(nodes, ranks), capsys)
        start = f"error: {step} was saved by 2 ranks and this run has {nodes * ranks} (trainer.nnodes={nodes} x"
        assert line.startswith(start)
    settings = [f"trainer.default_local_dir={step.parent}", "trainer.resume_mode=disable"]
    StartChecks().on_job_start(config(1, 1))
    settings = [f"trainer.default_local_dir={tmp_path / 'new'}"]
    StartChecks().on_job_start(config(1, 1))


def test_a_checkpoint_that_is_gone_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Verl would begin again at step 0, in the same folder."""
    checkpoints, file = tmp_path / "checkpoints", data_file(tmp_path, ROW)
    config = config_of(file, f"trainer.default_local_dir={checkpoints}", "trainer.n_gpus_per_node=1")
    checkpoints.mkdir()
    (checkpoints / "latest_checkpointed_iteration.txt").write_text("9")
    gone = f"error: {checkpoints}/global_step_9, from which this run would continue, is gone or empty"
    assert refusal(config, capsys).startswith(f"{gone} (there is no other): put the number")
    (checkpoints / "global_step_9").mkdir()  # the ranks' parts may be on other machines
    StartChecks().on_job_start(config)
    for step in (7, 10, "11_set_aside"):
        (checkpoints / f"global_step_{step}" / "actor").mkdir(parents=True)
        (checkpoints / f"global_step_{step}" / "actor" / "model_world_size_1_rank_0.pt").touch()
    assert refusal(config, capsys).startswith(f"{gone} (the newest that is there: global_step_10): put the number")
    (checkpoints / "latest_checkpointed_iteration.txt").write_text("10")
    StartChecks().on_job_start(config)
    elsewhere = ("trainer.resume_mode=resume_path", f"trainer.resume_from_path={tmp_path}/other/global_step_3")
    StartChecks().on_job_start(config_of(file, *elsewhere))  # it may be on other machines


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("+method=w_reinforce", "resrl.lambda_pos=-1"), "error: ResRL: lambda_pos=-1 must be"),
        (("+method=nsr", "resrl.positive_threshold=nan"), "error: ResRL: positive_threshold=nan must be"),
        (("+method=psr", "+resrl.rnak=3"), "error: resrl got an unexpected keyword argument 'rnak'"),
        (
            ("+method=grpo_pos", "algorithm.use_kl_in_reward=True"),
            "error: ResRL: algorithm.use_kl_in_reward=True would",
        ),
        (
            (
                *("+method=resrl", "+device=cpu_cluster", "trainer.nnodes=2"),
                "trainer.v1.trainer_mode=separate_async",
            ),
            "error: ResRL: trainer.v1.trainer_mode=separate_async on CPUs sends weights within one machine",
        ),
        (
            ("+method=grpo_pos", "algorithm.adv_estimator=grpo"),
            "error: ResRL: nothing here applies resrl.lambda_pos with algorithm.adv_estimator=grpo",
        ),
    ],
)
def test_settings_are_checked_with_every_method(
    overrides: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = data_file(tmp_path, ROW)
    config = composed(*overrides, f"data.train_files={file}", f"data.val_files=[{file}]")
    assert refusal(config, capsys).startswith(message)
