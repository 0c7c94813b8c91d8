# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Every launch script: a dry run of what it would start, the published numbers, one difference between methods."""

import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from omegaconf import OmegaConf

from verl_resrl.integration import dry_run
from verl_resrl.report.run_folders import read_runs

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*/run_*.sh"))
AVAILABLE = {path.stem for path in (EXAMPLES.parent / "verl_resrl/integration/config/method").glob("*.yaml")}
# in place of the interpreter: prints what follows `python -m MODULE`
RECORDER = f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[3:]))\n"


def name(script: Path) -> str:
    return f"{script.parent.name}/{script.stem}"


def method(script: Path) -> str:
    return next(m for m in ("w_reinforce", "resrl", "grpo", "nsr", "dapo") if script.stem.startswith(f"run_{m}_"))


@pytest.fixture(scope="session")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recorder") / "python"
    path.write_text(RECORDER)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def start(script: Path, *arguments: str, **knobs: str) -> subprocess.CompletedProcess[str]:
    environment = {key: os.environ[key] for key in ("PATH", "HOME")} | {"DRY_RUN": "1"} | knobs
    command = ["bash", str(script), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def commands(recorder: Path) -> dict[str, list[str]]:
    """What each script hands to the dry run."""
    with ThreadPoolExecutor(2) as pool:
        results = pool.map(lambda script: start(script, PYTHON=str(recorder)), SCRIPTS)
        return {name(script): json.loads(result.stdout) for script, result in zip(SCRIPTS, results, strict=True)}


@pytest.mark.parametrize(
    ("domain", "sizes"),
    [("math", ("1.7b", "4b", "8b")), ("code", ("4b",)), ("function_calling", ("4b",)), ("agents", ("4b",))],
)
def test_there_is_a_script_for_every_run_of_the_paper_and_no_other(domain: str, sizes: tuple[str, ...]) -> None:
    methods = ("resrl", "grpo", "nsr", "w_reinforce", "dapo")
    assert {path.stem for path in (EXAMPLES / domain).glob("run_*.sh")} == {
        f"run_{method}_qwen3_{size}" for method in methods for size in sizes
    }


@pytest.mark.parametrize("script", [script for script in SCRIPTS if script.stem.endswith("_4b")], ids=name)
def test_dry_run(script: Path, commands: dict[str, list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    if method(script) not in AVAILABLE:
        pytest.skip(f"+method={method(script)} is not there yet")
    assert dry_run.main(commands[name(script)]) == 0
    printed = capsys.readouterr().out
    assert "the configuration is valid" in printed
    assert f"+method={method(script)}" in commands[name(script)]


def test_without_flash_attn_the_scripts_choose_sdpa(recorder: Path, tmp_path: Path) -> None:
    sdpa = "++actor_rollout_ref.model.override_config.attn_implementation=sdpa"
    mine = "+actor_rollout_ref.model.override_config.attn_implementation=eager"
    without = tmp_path / "python"
    without.write_text(RECORDER.replace("print", "sys.exit(1) if sys.argv[1] == '-c' else print"))
    without.chmod(0o755)
    script = EXAMPLES / "math/run_resrl_qwen3_4b.sh"
    done = start(script, PYTHON=str(without))
    assert json.loads(done.stdout)[-1] == sdpa
    assert done.stderr.startswith("attention: sdpa, because flash-attn cannot be imported here")
    assert json.loads(start(script, mine, PYTHON=str(without)).stdout)[-1] == mine
    assert sdpa not in json.loads(start(script, PYTHON=str(recorder)).stdout)


@pytest.mark.parametrize("script", [script for script in SCRIPTS if not script.stem.endswith("_4b")], ids=name)
def test_other_sizes_differ_in_the_model_only(script: Path, commands: dict[str, list[str]]) -> None:
    """So the dry run of one size, which takes a second, stands for all."""
    stem, size = name(script).rsplit("_", 1)
    assert [text.replace(size.upper(), "4B") for text in commands[name(script)]] == commands[f"{stem}_4b"]


@pytest.mark.parametrize("domain", sorted({script.parent.name for script in SCRIPTS}))
def test_method_is_the_only_difference(domain: str, commands: dict[str, list[str]]) -> None:
    def settings(method: str) -> set[str]:
        given = commands[f"{domain}/run_{method}_qwen3_4b"]
        own = {f"+method={method}", f"trainer.experiment_name={method}"}
        return {text.replace(f"{method}_Qwen3", "METHOD_Qwen3") for text in given} - own

    for baseline in ("grpo", "nsr", "w_reinforce", "dapo"):
        assert settings("resrl") == settings(baseline)


PUBLISHED = {  # arXiv 2605.00380, mathematics
    "data.train_batch_size": 256,
    "data.max_prompt_length": 2048,
    "data.max_response_length": 4096,
    "data.apply_chat_template_kwargs.enable_thinking": False,
    "actor_rollout_ref.actor.ppo_mini_batch_size": 64,
    "actor_rollout_ref.actor.optim.lr": 1e-6,
    "actor_rollout_ref.actor.optim.lr_warmup_steps": 10,
    "actor_rollout_ref.actor.optim.weight_decay": 0.1,
    "actor_rollout_ref.actor.use_kl_loss": False,
    "algorithm.use_kl_in_reward": False,
    "actor_rollout_ref.rollout.n": 4,
    "actor_rollout_ref.rollout.val_kwargs.temperature": 0.6,
    "resrl.rank": 64,
    "resrl.max_positive_tokens": 4096,
    "resrl.q_low": 0.2,
    "resrl.q_high": 0.8,
    "resrl.xi": 0.1,
    "resrl.lambda_pos": 0.1,
    "reward.reward_kwargs.length_scale": {"start": 3500, "end": 4096, "floor": 0.7},
}


def test_numbers_are_the_published_ones(commands: dict[str, list[str]]) -> None:
    overrides = [text for text in commands["math/run_resrl_qwen3_4b"] if not text.startswith("--")]
    config = dry_run.compose_config(overrides)
    assert {key: OmegaConf.select(config, key) for key in PUBLISHED} == PUBLISHED
    assert "dapo-math-17k.parquet" in config.data.train_files[0]
    assert config.actor_rollout_ref.model.path == "Qwen/Qwen3-4B"


def test_knobs_and_arguments_arrive(recorder: Path, tmp_path: Path) -> None:
    model = tmp_path / "it's a model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    script = EXAMPLES / "math" / "run_resrl_qwen3_4b.sh"
    knobs = {"NNODES": "4", "SEED": "7", "STEPS": "9", "MODEL": str(model), "VERL_ARGS": "a='b c' d=1", "OUT": "o ut"}
    given = json.loads(start(script, "e=2", PYTHON=str(recorder), **knobs).stdout)
    assert {"trainer.nnodes=4", "data.seed=7", "trainer.total_training_steps=9"} < set(given)
    assert given[-3:] == ["a=b c", "d=1", "e=2"]
    config = dry_run.compose_config([text for text in given[:-3] if not text.startswith("--")])
    assert config.actor_rollout_ref.model.path == str(model)
    assert config.trainer.default_local_dir == f"{Path.cwd()}/o ut/checkpoints"


def test_every_named_file_arrives(recorder: Path) -> None:
    given = json.loads(
        start(
            EXAMPLES / "math" / "run_resrl_qwen3_4b.sh",
            PYTHON=str(recorder),
            TRAIN_FILES="/a.parquet\n/b.parquet '/c d.parquet'",
            VAL_FILES='"/it\'s.parquet"',
        ).stdout
    )
    config = dry_run.compose_config([text for text in given if not text.startswith("--")])
    assert config.data.train_files == ["/a.parquet", "/b.parquet", "/c d.parquet"]
    assert config.data.val_files == ["/it's.parquet"]


def test_an_attempt_takes_the_log_of_no_other(recorder: Path, tmp_path: Path) -> None:
    train_in_name_only(recorder, "resrl", 0, 1, tmp_path / "out")
    (tmp_path / "out" / "metrics" / "0000.jsonl").rename(tmp_path / "out" / "metrics" / "0008.jsonl")
    train_in_name_only(recorder, "resrl", 0, 2, tmp_path / "out")
    assert sorted(file.name for file in (tmp_path / "out" / "metrics").iterdir()) == ["0008.jsonl", "0009.jsonl"]


def test_real_run_checks_and_then_starts_verl(recorder: Path, tmp_path: Path) -> None:
    script = EXAMPLES / "math" / "run_grpo_qwen3_4b.sh"
    result = start(script, PYTHON=str(recorder), DRY_RUN="", OUT=str(tmp_path / "out"))
    checked, started = map(json.loads, result.stdout.splitlines())
    assert checked == started  # the very same settings, and no --missing-data-ok
    assert (tmp_path / "out").is_dir()


def train_in_name_only(recorder: Path, method: str, seed: int, step: int, out: Path) -> list[str]:
    """Start a script, then leave what Hydra and verl's logger would: the configuration and one line of metrics."""
    script = EXAMPLES / "math" / f"run_{method}_qwen3_4b.sh"
    printer = out.parent / "python"
    printer.write_text(
        f'#!/bin/bash\n[[ "$*" == *main_ppo* ]] || exit 0\necho "$VERL_FILE_LOGGER_PATH"\n{recorder} "$@"\n'
    )
    printer.chmod(0o755)
    result = start(script, PYTHON=str(printer), DRY_RUN="", OUT=str(out), SEED=str(seed))
    log, overrides = result.stdout.splitlines()
    config = dry_run.compose_config(json.loads(overrides))
    saved = Path(config_value(json.loads(overrides), "hydra.run.dir").strip("'")) / ".hydra" / "config.yaml"
    saved.parent.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(config, saved)
    assert not Path(log).exists(), "verl would empty the log of the attempt before"
    Path(log).write_text(json.dumps({"step": step, "data": {"critic/score/mean": float(step)}}) + "\n")
    return json.loads(overrides)


def config_value(overrides: list[str], setting: str) -> str:
    return next(text.partition("=")[2] for text in overrides if text.startswith(f"{setting}="))


def test_the_report_reads_what_the_scripts_leave(recorder: Path, tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b", tmp_path / "c"]
    for folder, (method, seed) in zip(folders, [("grpo", 0), ("resrl", 0), ("resrl", 1)], strict=True):
        given = train_in_name_only(recorder, method, seed, 1, folder)
        assert "hf_model" in config_value(given, "actor_rollout_ref.actor.checkpoint.save_contents")  # for resrl eval
    train_in_name_only(recorder, "resrl", 1, 2, folders[-1])  # continued
    runs = {(run.method, run.seed): run for run in read_runs(folders)}
    assert set(runs) == {("grpo", 0), ("resrl", 0), ("resrl", 1)}
    assert list(runs["resrl", 1].metrics) == [1, 2]
    assert not any("no training metrics" in note for run in runs.values() for note in run.notes)


def test_sandbox_fusion_reaches_the_reward(recorder: Path) -> None:
    script = EXAMPLES / "code" / "run_resrl_qwen3_4b.sh"
    given = json.loads(start(script, PYTHON=str(recorder), SANDBOX_URL="http://host:8080/run_code").stdout)
    config = dry_run.compose_config([text for text in given if not text.startswith("--")])
    reward = OmegaConf.to_container(config.reward, resolve=True)
    assert reward["custom_reward_function"]["reward_kwargs"] == {  # type: ignore[index, call-overload]
        "isolation": "bwrap",
        "sandbox_fusion_url": "http://host:8080/run_code",
    }


@pytest.mark.parametrize(
    ("knobs", "named"),
    [
        ({"VERL_ARGS": "'a"}, "VERL_ARGS='a has unbalanced quotes"),
        ({"TRAIN_FILES": "it's.parquet"}, "TRAIN_FILES=it's.parquet has unbalanced quotes"),
        ({"METHOD": "ppo"}, None),  # the script says which method it is
    ],
)
def test_wrong_knobs(knobs: dict[str, str], named: str | None, recorder: Path) -> None:
    result = start(EXAMPLES / "math" / "run_nsr_qwen3_4b.sh", PYTHON=str(recorder), **knobs)
    assert (result.returncode != 0) == (named is not None)
    assert (named or "") in result.stderr


def data_file(path: Path, columns: dict[str, list[Any]]) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


GOOD: dict[str, list[Any]] = {
    "data_source": ["x"],
    "prompt": ["p"],
    "reward_model": [{"ground_truth": "1"}],
    "extra_info": [{"split": "train"}],
}


def test_prompts_may_have_a_column_of_another_name(commands: dict[str, list[str]], tmp_path: Path) -> None:
    file = data_file(tmp_path / "own.parquet", {"question" if key == "prompt" else key: v for key, v in GOOD.items()})
    files = [f"data.{split}_files=[{file}]" for split in ("train", "val")]
    overrides = [text for text in commands["math/run_resrl_qwen3_4b"] if not text.startswith("--")]
    assert dry_run.main([*overrides, *files, "data.prompt_key=question"]) == 0


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (["foo.bar=1"], "Could not override 'foo.bar'"),
        (["+method=ppo"], "Could not find 'method/ppo'"),
        (["actor_rollout_ref.actor.ppo_mini_batch_size=60"], "60 does not divide the 256 prompts"),
        (["actor_rollout_ref.rollout.tensor_model_parallel_size=3"], "3 does not divide the 8 GPUs"),
        (["actor_rollout_ref.model.path=/no/model"], "/no/model is not the folder of a Hugging Face model"),
        (["reward.custom_reward_function.path=/no/reward.py"], "reward.custom_reward_function: "),
        (["reward.custom_reward_function.name=nothing"], "reward.custom_reward_function: "),
        (["reward.reward_kwargs.length_scale.floor=2"], "reward.reward_kwargs.length_scale: "),
        (["resrl.rank=0"], "rank=0 must be an integer"),
        (["algorithm.adv_estimator=nothing"], "algorithm.adv_estimator: "),
        (["data.train_files=[FOLDER/none.parquet]"], "none.parquet: no such file"),
        (["data.train_files=[FOLDER/text.parquet]"], "text.parquet: not a parquet file"),
        (["data.train_files=[FOLDER/column.parquet]"], "column 'reward_model' is missing"),
        (["data.train_files=[FOLDER/empty.parquet]"], "empty.parquet: has no rows"),
        (["data.train_files=[FOLDER/split.parquet]"], "split.parquet row 1: extra_info.split is missing"),
        (["actor_rollout_ref.model.path=${nothing.here}"], "a reference to another setting: "),
    ],
)
def test_wrong_setting_ends_with_one_line(
    changes: list[str],
    named: str,
    commands: dict[str, list[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data_file(tmp_path / "good.parquet", GOOD)
    data_file(tmp_path / "empty.parquet", {key: [] for key in GOOD})
    data_file(tmp_path / "column.parquet", {"data_source": ["x"], "prompt": ["p"]})
    data_file(tmp_path / "split.parquet", GOOD | {"extra_info": [{"index": 0}]})
    (tmp_path / "text.parquet").write_text("text")
    good = [f"data.{split}_files=[{tmp_path}/good.parquet]" for split in ("train", "val")]
    overrides = [text for text in commands["math/run_resrl_qwen3_4b"] if not text.startswith("--")]
    assert dry_run.main([*overrides, *good, *(text.replace("FOLDER", str(tmp_path)) for text in changes)]) == 1
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith("error: ")
    assert named in line


def test_files_of_other_formats_are_left_to_verl(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("{}")
    assert dry_run.check_data(str(tmp_path / "rows.jsonl"), missing_ok=False) == [
        f"{tmp_path}/rows.jsonl: not looked into, only parquet files are"
    ]


def test_data_that_is_there_is_counted(
    commands: dict[str, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = data_file(tmp_path / "good.parquet", GOOD)
    overrides = [text for text in commands["math/run_grpo_qwen3_4b"] if not text.startswith("--")]
    assert dry_run.main([*overrides, f"data.train_files=[{path}]", f"data.val_files={path}"]) == 0
    assert capsys.readouterr().out.count(f"{path}: 1 rows") == 2


@pytest.mark.parametrize("script", sorted(EXAMPLES.rglob("*.sh")) + sorted(EXAMPLES.rglob("*.sbatch")), ids=str)
def test_shell_syntax(script: Path) -> None:
    result = subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
