# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""``resrl eval`` with random models: figures counted by hand, kill and resume, bad input, checkpoints of runs."""

import importlib.util
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForCausalLM
from typer.testing import CliRunner

from tests.integration.engines import last_layer_inputs, make_batch, save_model
from verl_resrl import token_weights
from verl_resrl.cli import app
from verl_resrl.evaluation.evaluate import sample_and_judge
from verl_resrl.evaluation.generate import Job, Response, Sampling, choose_backend
from verl_resrl.evaluation.judge import Judge, Verdict
from verl_resrl.evaluation.models import checkpoints_of_run
from verl_resrl.evaluation.problems import Problem
from verl_resrl.evaluation.samples import Sample, open_samples
from verl_resrl.evaluation.settings import EvaluationError, Settings, named_file
from verl_resrl.evaluation.states import response_states
from verl_resrl.evaluation.summary import distinct_correct, majority_vote, self_bleu, summarize
from verl_resrl.evaluation.vllm_generator import VLLMGenerator
from verl_resrl.tasks.countdown import answer_of

# ends its process after so many calls, as kill -9 would, if the variable is set
REWARD = """
import itertools, os, signal
calls = itertools.count(1)

def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    if next(calls) == int(os.environ.get("KILL_AT_CALL", 0)):
        os.kill(os.getpid(), signal.SIGKILL)
    return float("7" in solution_str)
"""
SAMPLES, PROBLEMS = 4, 6


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model, problems of two sources, and a reward that some responses earn."""
    folder = tmp_path_factory.mktemp("task")
    save_model("Llama", folder / "model")
    (folder / "reward.py").write_text(REWARD)
    write_rows(folder / "data.parquet", *(row(i) for i in range(PROBLEMS)))
    return folder


def row(number: int) -> dict[str, Any]:
    return {
        "data_source": ("even", "odd")[number % 2],
        "prompt": [{"role": "user", "content": f"t{3 + number}"}],
        "reward_model": {"style": "rule", "ground_truth": ""},
        "extra_info": {"index": number},
    }


def write_rows(path: Path, *rows: dict[str, Any]) -> Path:
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return path


def arguments(task: Path, out: Path, *more: str) -> list[str]:
    # prompts of up to so many tokens leave room for three responses in a batch: several batches
    return [
        *("eval", "--model", str(task / "model"), "--data", str(task / "data.parquet"), "--out", str(out)),
        *("--n", str(SAMPLES), "--max-tokens", "8", "--max-prompt-tokens", "8192"),
        *("--reward-file", str(task / "reward.py"), *more),
    ]


def call(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def evaluated(task: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an evaluation that was never stopped."""
    out = tmp_path_factory.mktemp("evaluated") / "out"
    code, stdout, _ = call(*arguments(task, out, "--token-weights", "2"))
    assert code == 0
    assert "Pass@4" in stdout
    return out


def samples_in(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]


# the whole command


def test_samples_are_what_the_model_and_the_reward_say(evaluated: Path) -> None:
    samples = samples_in(evaluated)
    assert [(s["problem"], s["sample"]) for s in samples] == list(itertools.product(range(PROBLEMS), range(SAMPLES)))
    for sample in samples:
        assert list(sample) == [
            *("problem", "sample", "data_source", "prompt", "response"),
            *("score", "correct", "answer", "num_tokens", "finished"),
        ]
        assert sample["prompt"] == f"t{3 + sample['problem']}"
        assert sample["data_source"] == ("even", "odd")[sample["problem"] % 2]
        assert sample["correct"] == (sample["score"] > 0) == ("7" in sample["response"])
        assert sample["answer"] == (" ".join(sample["response"].split()) or None)
        # this tokenizer writes a blank between tokens; special ones count and are not in the text
        assert len(sample["response"].split()) + sample["finished"] <= sample["num_tokens"] <= 8
        assert sample["finished"] or sample["num_tokens"] == 8
    assert {sample["finished"] for sample in samples} == {True, False}
    assert len({sample["response"] for sample in samples}) > PROBLEMS


def test_average_of_the_first_responses(task: Path, evaluated: Path, tmp_path: Path) -> None:
    """As the paper's Avg@16 beside Pass@128; the samples are those that are there."""
    out = shutil.copytree(evaluated, tmp_path / "out")
    code, output, _ = call(*arguments(task, out, "--averaged", "2"))
    assert code == 0
    first = [sample["correct"] for sample in samples_in(out) if sample["sample"] < 2]
    summary = json.loads((out / "summary.json").read_text())["overall"]
    assert summary["avg_at_first"]["2"]["mean"] == pytest.approx(sum(first) / len(first))
    assert "Avg@2" in output
    code, _, errors = call(*arguments(task, out, "--averaged", "5"))
    assert (code, errors) == (1, "error: --averaged 5 must be in [1, 4], the responses to a problem\n")


def test_summary_is_that_of_the_samples(evaluated: Path) -> None:
    samples, summary = samples_in(evaluated), json.loads((evaluated / "summary.json").read_text())
    assert set(summary["data_sources"]) == {"even", "odd"}
    for name, figures in [("", summary["overall"]), *summary["data_sources"].items()]:
        own = [sample for sample in samples if sample["data_source"].startswith(name)]
        groups = [[s["correct"] for s in own if s["problem"] == p] for p in sorted({s["problem"] for s in own})]
        assert (figures["num_problems"], figures["num_samples"]) == (len(groups), SAMPLES)
        assert figures["avg_at_n"]["mean"] == pytest.approx(sum(s["correct"] for s in own) / len(own))
        for k in (1, 2, 4):
            tries = [any(chosen) for group in groups for chosen in itertools.combinations(group, k)]
            assert figures["pass_at_k"][str(k)]["mean"] == pytest.approx(sum(tries) / len(tries))
        for figure in (figures["avg_at_n"], figures["majority_vote"], *figures["pass_at_k"].values()):
            assert 0 <= figure["low"] <= figure["mean"] <= figure["high"] <= 1
        assert figures["mean_length"] == pytest.approx(sum(s["num_tokens"] for s in own) / len(own))
    assert 0 < summary["overall"]["avg_at_n"]["mean"] < 1


def test_a_killed_run_continues_to_the_same_result(task: Path, evaluated: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "verl_resrl.cli", *arguments(task, tmp_path / "whole")]
    killed = subprocess.run(command, env=os.environ | {"KILL_AT_CALL": "13"}, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    content = (tmp_path / "whole" / "samples.jsonl").read_bytes()
    assert (
        content.count(b"\n") == 9
    )  # a try for each of two sources, three batches of three, and the judge died in the fourth
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    (tmp_path / "cut" / "samples.jsonl").write_bytes(content[:-25])  # killed in the middle of a line
    for folder in (tmp_path / "whole", tmp_path / "cut"):
        assert call(*arguments(task, folder))[0] == 0
        for name in ("samples.jsonl", "summary.json"):
            assert (folder / name).read_bytes() == (evaluated / name).read_bytes()


def test_a_finished_run_only_sums_up_again(task: Path, evaluated: Path, tmp_path: Path) -> None:
    shutil.copytree(evaluated, tmp_path / "out")
    before = (tmp_path / "out" / "samples.jsonl").read_bytes()
    assert call(*arguments(task, tmp_path / "out", "--k", "3"))[0] == 0
    assert (tmp_path / "out" / "samples.jsonl").read_bytes() == before
    assert list(json.loads((tmp_path / "out" / "summary.json").read_text())["overall"]["pass_at_k"]) == ["3"]


def test_another_seed_gives_other_responses(task: Path, evaluated: Path, tmp_path: Path) -> None:
    assert call(*arguments(task, tmp_path, "--seed", "1", "--limit", "2"))[0] == 0
    theirs = [sample["response"] for sample in samples_in(evaluated)]
    ours = [sample["response"] for sample in samples_in(tmp_path)]
    assert len(ours) == 2 * SAMPLES
    assert set(ours) & set(theirs[: len(ours)]) <= {""}


def test_every_checkpoint_of_every_run(task: Path, evaluated: Path, tmp_path: Path) -> None:
    for name, steps in (("a", (10, 9)), ("b", (5,))):
        for step in steps:
            target = tmp_path / name / "checkpoints" / f"global_step_{step}" / "actor" / "huggingface"
            shutil.copytree(task / "model", target)
    rest = arguments(task, tmp_path, "--limit", "1")[7:]
    code, stdout, _ = call(
        "eval", "--run", str(tmp_path / "a"), "--run", str(tmp_path / "b"), *arguments(task, tmp_path)[3:5], *rest
    )
    assert code == 0
    assert [line.split()[2] for line in stdout.splitlines() if "..." in line] == ["a/step_9", "a/step_10", "b/step_5"]
    for folder in ("a/evaluations/step_9", "a/evaluations/step_10", "b/evaluations/step_5"):
        assert samples_in(tmp_path / folder) == samples_in(evaluated)[:SAMPLES]


def test_a_run_says_how_it_was_trained(task: Path, tmp_path: Path) -> None:
    """Start, reward function, threshold and weighting come from the configuration; a common start is sampled once."""
    (tmp_path / "reward.py").write_text(
        "from pathlib import Path\n"
        "def seven(data_source, solution_str, ground_truth, extra_info, digit):\n"
        "    with Path(__file__).with_suffix('.calls').open('a') as file: file.write('.')\n"
        "    return 0.3 + 0.4 * (digit in solution_str)\n"
    )
    for name, loss, more in (("a", "resrl", ", rank: 2, weighting: entropy, layer: 1"), ("b", "grpo", "")):
        run = tmp_path / name
        shutil.copytree(task / "model", run / "checkpoints" / "global_step_5" / "actor" / "huggingface")
        config = run / "hydra" / ".hydra" / "config.yaml"
        config.parent.mkdir(parents=True)
        config.write_text(
            f"actor_rollout_ref: {{model: {{path: {task / 'model'}}}, actor: {{policy_loss: {{loss_mode: {loss}}}}}}}\n"
            "reward: {custom_reward_function: {path: reward.py, name: seven, reward_kwargs: {digit: '7'}}}\n"
            f"resrl: {{positive_threshold: 0.5{more}}}\n"
        )
        config.with_name("hydra.yaml").write_text(f"hydra: {{runtime: {{cwd: {tmp_path}}}}}\n")
    rest = ["--data", str(task / "data.parquet"), "--n", "4", "--max-tokens", "8", "--token-weights", "1"]
    code, stdout, _ = call("eval", "--run", str(tmp_path / "a"), "--run", str(tmp_path / "b"), *rest)
    assert code == 0
    assert f"reward function of the training, seven in {tmp_path / 'reward.py'}" in stdout
    folders = [tmp_path / name / "evaluations" / f"step_{step}" for name in "ab" for step in (0, 5)]
    assert all((folder / "summary.json").exists() for folder in folders)
    assert samples_in(folders[0]) == samples_in(folders[2])
    for sample in samples_in(folders[1]):
        assert sample["correct"] == (sample["score"] > 0.5) == ("7" in sample["response"])
    # three models and not four: a try for each of two sources, then every response
    assert len((tmp_path / "reward.calls").read_text()) == 3 * (2 + PROBLEMS * SAMPLES)
    weighed = [json.loads((folder / "tokens.jsonl").read_text())["weighed"] for folder in folders]
    shown = [(one["of_training"], one["rank"], one["weighting"], one["layer"]) for one in weighed]
    assert shown == [(True, 2, "entropy", 1)] * 2 + [(False, 64, "residual", "last")] * 2
    code, _, stderr = call("eval", "--run", str(tmp_path / "a"), "--threshold", "0.9", *rest)
    assert (code, "threshold is 0.5 there and 0.9 now" in stderr) == (1, True)

    (tmp_path / "reward.py").unlink()
    config = tmp_path / "a" / "hydra" / ".hydra" / "config.yaml"
    for reward in ("reward.py", "pkg://gone.rewards"):
        config.write_text(config.read_text().replace("reward.py", reward))
        code, _, stderr = call("eval", "--run", str(tmp_path / "a"), "--steps", "5", *rest)
        assert (code, f"in {reward}, which is not here: name it with" in stderr) == (1, True)


def test_a_benchmark_stands_for_options_that_those_beside_it_override(
    task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = ["eval", "--model", str(task / "model"), "--benchmark", "math500", "--out", str(tmp_path / "out")]
    assert call(*given)[2] == (
        "error: data/math500.parquet does not exist: python scripts/prepare_data.py math500 writes it\n"
    )
    (tmp_path / "data").mkdir()
    problem = row(0) | {"reward_model": {"style": "rule", "ground_truth": "7"}}
    write_rows(tmp_path / "data" / "math500.parquet", problem)
    code, _, stderr = call(*given, "--max-tokens", "4", "--n", "2")
    assert (code, stderr) == (0, "")
    settings = json.loads((tmp_path / "out" / "settings.json").read_text())
    assert (settings["max_tokens"], settings["n"], settings["k"]) == (4, 2, [1, 2])
    assert (settings["temperature"], settings["max_prompt_tokens"]) == (0.6, 2048)
    assert settings["chat_template_kwargs"] == {"enable_thinking": False}
    assert settings["reward_file"].endswith("math_reward.py")


def test_help_is_quick_and_teaches() -> None:
    code = (
        "import sys, verl_resrl.cli; print([m for m in ('torch', 'verl', 'ray', 'transformers') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
    assert "eval" in call("--help")[1]
    assert "resrl eval --model Qwen/Qwen3-0.6B --data test.parquet" in call("eval", "--help")[1]


# bad input, one line each


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--model", "no/such/model"], "no/such/model does not exist"),
        (["--data", "none.parquet"], "none.parquet does not exist"),
        (["--data", "reward.py"], "reward.py is not a readable parquet file"),
        (["--data", "empty.parquet"], "empty.parquet has no rows"),
        (["--k", "1,8"], "--k 8 is more than the responses to a problem, --n 4"),
        (["--k", "2,1"], "--k 2,1 must be increasing numbers from 1 on"),
        (["--k", "many"], "--k many must be numbers with commas between"),
        (["--n", "0"], "--n 0 must be an integer, 1 or more"),
        (["--top-p", "0"], "--top-p 0.0 must be above 0"),
        (["--temperature", "-1"], "--temperature -1.0 must be a number, 0 or more"),
        (["--reward-file", "none.py"], "none.py does not exist"),
        (["--reward-file", "pkg://gone.rewards"], "--reward-file pkg://gone.rewards names no Python module"),
        (["--reward-file", "broken.py"], "broken.py cannot be imported (NameError: name 'nothing' is not defined)"),
        (["--reward-file", "empty.py"], "empty.py defines no compute_score()"),
        (["--reward-file", "raises.py"], "the reward function failed with KeyError: 'x' (data_source 'even'"),
        (["--reward-file", "exits.py"], "the reward function failed with SystemExit: 3"),
        (["--reward-file", "lines.py"], "the reward function failed with ValueError: one two"),
        (["--reward-file", "promise.py"], "returned a coroutine: declare it with async def"),
        (["--reward-file", "names.py"], "answer_of failed with KeyError: 'boom'"),
        (["--reward-file", "lists.py"], "answer_of must return text or None, it returned [1]"),
        (["--reward-file", "pkg://math"], "pkg://math names no Python module that is installed here"),
        (["--reward-file", "pkg://.a"], "pkg://.a names no Python module that is installed here"),
        (["--reward-file", "."], "is not a file"),
        (["--threshold", "nan"], "--threshold nan must be a number"),
        (["--data", "."], "is a folder: name parquet files"),
        (["--data", "unjudged.parquet"], "row 1 of {here}/unjudged.parquet: reward_model is missing"),
        (["--data", "nameless.parquet"], "row 1 of {here}/nameless.parquet: data_source must be text, it is None"),
        (["--data", "extra.parquet"], "row 0 of {here}/extra.parquet: extra_info must have named fields, it is 'x'"),
        (["--reward-file", "words.py"], "must return a number or a dict with the number 'score', it returned good"),
        (["--max-prompt-tokens", "1", "--data", "long.parquet"], "every prompt is longer than 1 tokens"),
        (["--backend", "fast"], "--backend fast must be one of auto, vllm, hf"),
        (["--backend", "vllm"], "--backend vllm needs"),
        (["--steps", "3"], "--steps chooses checkpoints of a --run"),
        (["--run", "."], "either --model MODEL or --run RUN_DIR"),
        (["--chat-template-kwargs", "{"], "--chat-template-kwargs is not JSON"),
        (["--benchmark", "aime99"], "--benchmark aime99 must be one of aime24, aime25"),
    ],
)
def test_bad_input_is_named_in_one_line(
    task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "empty.parquet", row(0))
    pq.write_table(pq.read_table(tmp_path / "empty.parquet").slice(0, 0), tmp_path / "empty.parquet")
    write_rows(tmp_path / "long.parquet", row(0) | {"prompt": [{"role": "user", "content": "t3 t4"}]})
    write_rows(tmp_path / "unjudged.parquet", row(0), row(1) | {"reward_model": None})
    write_rows(tmp_path / "nameless.parquet", row(0), row(1) | {"data_source": None})
    write_rows(tmp_path / "extra.parquet", row(0) | {"extra_info": "x"})
    for name, text in {
        "reward.py": REWARD,
        "exits.py": "def compute_score(**kwargs): raise SystemExit(3)",
        "lines.py": "def compute_score(**kwargs): raise ValueError('one\\ntwo')",
        "promise.py": "async def later(): return 1.0\ndef compute_score(**kwargs): return later()",
        "names.py": "def compute_score(**kwargs): return 1.0\ndef answer_of(text, truth): raise KeyError('boom')",
        "lists.py": "def compute_score(**kwargs): return 1.0\ndef answer_of(text, truth): return [1]",
        "broken.py": "nothing",
        "empty.py": "",
        "raises.py": "def compute_score(**kwargs): return {}['x']",
        "words.py": "def compute_score(**kwargs): return 'good'",
    }.items():
        (tmp_path / name).write_text(text)
    given = arguments(task, tmp_path / "out")
    for name, value in zip(more[::2], more[1::2], strict=True):
        if name in given:
            given[given.index(name) + 1] = value
        else:
            given += [name, value]
    code, _, stderr = call(*given)
    assert code == 1
    assert stderr.startswith("error: ")
    assert message.format(here=tmp_path) in stderr
    assert stderr.count("\n") == 1


@pytest.mark.parametrize("damage", ["weights", "shapes", "vocabulary"])
def test_a_damaged_model_is_told_in_one_line(task: Path, tmp_path: Path, damage: str) -> None:
    model = tmp_path / "model"
    shutil.copytree(task / "model", model)
    if damage == "weights":
        (model / "model.safetensors").write_bytes((model / "model.safetensors").read_bytes()[:1000])
    elif damage == "shapes":
        config = json.loads((model / "config.json").read_text())
        (model / "config.json").write_text(json.dumps(config | {"hidden_size": 2 * config["hidden_size"]}))
    else:
        (model / "tokenizer.json").write_text("{}")
    given = arguments(task, tmp_path / "out")
    given[given.index("--model") + 1] = str(model)
    code, _, stderr = call(*given)
    assert (code, stderr.startswith("error: "), stderr.count("\n")) == (1, True, 1), stderr
    assert "loaded (" in stderr


def test_a_module_of_a_package_may_import_beside_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "rewards_beside"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "helper.py").write_text("SCORE = 0.25")
    (package / "main.py").write_text("from .helper import SCORE\ndef compute_score(**kwargs): return SCORE")
    monkeypatch.syspath_prepend(tmp_path)
    judge = Judge(Path(named_file("pkg://rewards_beside.main")))
    assert judge.judge([row(0)], [""])[0].score == 0.25


SLOW = "import time\nfrom pathlib import Path\ndef compute_score(solution_str, **kwargs):\n"
SLOW += "    if solution_str: Path(__file__).with_suffix('.called').touch(); time.sleep(600)\n    return 1.0\n"


def test_ctrl_c_does_not_wait_for_the_reward_function(task: Path, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    given = arguments(task, tmp_path / "out", "--reward-file", str(tmp_path / "slow.py"))
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from verl_resrl.cli import app; app()"
    )
    process = subprocess.Popen([sys.executable, "-c", program, *given], stderr=subprocess.PIPE)
    while not (tmp_path / "slow.called").exists():
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)  # the calls last ten minutes
    assert (process.returncode, b"the same command continues" in stderr) == (130, True)


@pytest.mark.parametrize("text", ["[1]", "\udcff"])
def test_damaged_settings_are_told_in_one_line(task: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "settings.json").write_bytes(text.encode(errors="surrogateescape"))
    code, _, stderr = call(*arguments(task, tmp_path / "out"))
    assert (code, stderr.count("\n"), "is not what resrl eval wrote; delete" in stderr) == (1, 1, True)


def test_brackets_in_names_are_no_markup(task: Path, tmp_path: Path) -> None:
    given = arguments(task, tmp_path / "[bold]out")
    model = tmp_path / "m[red]x"
    shutil.copytree(task / "model", model)
    given[given.index("--model") + 1] = str(model)
    code, stdout, _ = call(*given)
    assert code == 0
    assert "evaluation m[red]x" in stdout
    assert "[bold]out" in stdout


def test_other_settings_than_those_of_the_samples_are_refused(task: Path, evaluated: Path, tmp_path: Path) -> None:
    shutil.copytree(evaluated, tmp_path / "out")
    code, _, stderr = call(*arguments(task, tmp_path / "out", "--temperature", "0.5"))
    assert code == 1
    assert "holds samples of other settings (temperature is 1.0 there and 0.5 now)" in stderr
    assert stderr.count("\n") == 1


def test_a_setting_younger_than_the_samples_had_its_default(task: Path, evaluated: Path, tmp_path: Path) -> None:
    shutil.copytree(evaluated, tmp_path / "out")
    file = tmp_path / "out" / "settings.json"
    settings = json.loads(file.read_text())
    del settings["reward_name"]
    file.write_text(json.dumps(settings))
    assert call(*arguments(task, tmp_path / "out"))[0] == 0


def test_other_content_of_the_data_is_noticed(task: Path, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "data.parquet", row(0))
    given = [*arguments(task, tmp_path / "out"), "--data", str(data)]
    del given[3:5]
    assert call(*given)[0] == 0
    write_rows(data, row(1))
    code, _, stderr = call(*given)
    assert (code, "fingerprints is" in stderr) == (1, True)


def test_two_evaluations_in_one_folder_refuse(tmp_path: Path) -> None:
    with (
        open_samples(tmp_path),
        pytest.raises(EvaluationError, match="another evaluation is writing"),
        open_samples(tmp_path),
    ):
        pass


def test_a_foreign_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "samples.jsonl").write_text('{"problem": 0}\n')
    with pytest.raises(EvaluationError, match=r"line 1 of .*samples\.jsonl is not a sample"), open_samples(tmp_path):
        pass


# figures


def sample(problem: int, number: int, correct: bool, answer: str | None, source: str = "a", tokens: int = 1) -> Sample:
    return Sample(problem, number, source, "p", f"text {answer}", float(correct), correct, answer, tokens, True)


def test_summary_against_hand_counted_numbers() -> None:
    samples = [
        sample(0, 0, True, "x", tokens=2),
        sample(0, 1, False, "y", tokens=4),
        sample(0, 2, False, "y", tokens=6),
        sample(0, 3, False, "y", tokens=8),
        *(sample(1, i, i < 2, "uv"[i] if i < 2 else None, "b") for i in range(4)),
    ]
    summary = summarize(samples[::-1], [1, 2])
    first, second, overall = summary["data_sources"]["a"], summary["data_sources"]["b"], summary["overall"]
    assert first["avg_at_n"] == {"mean": 0.25, "low": 0.25, "high": 0.25}  # one problem has no spread
    assert (first["pass_at_k"]["2"]["mean"], second["pass_at_k"]["2"]["mean"]) == pytest.approx((3 / 6, 5 / 6))
    assert overall["pass_at_k"]["2"]["mean"] == pytest.approx((3 / 6 + 5 / 6) / 2)
    assert (first["majority_vote"]["mean"], second["majority_vote"]["mean"]) == (0, 1)
    assert (first["mean_length"], overall["mean_length"]) == (5, 3)
    assert (first["distinct_correct"], second["distinct_correct"], overall["distinct_correct"]) == (1, 2, 1.5)
    assert (overall["num_problems"], overall["num_samples"]) == (2, 4)
    # two problems: each of four equally likely draws of two
    assert (overall["majority_vote"]["low"], overall["majority_vote"]["high"]) == (0, 1)


def test_majority_of_equally_frequent_answers_is_their_mean() -> None:
    assert majority_vote([sample(0, 0, True, "x"), sample(0, 1, False, "y"), sample(0, 2, False, None)]) == 0.5
    assert majority_vote([sample(0, 0, False, None)] * 3) == 0


def test_a_right_response_without_a_name_counts_by_its_text() -> None:
    assert distinct_correct([sample(0, 0, True, None), sample(0, 1, True, None), sample(0, 2, True, "x")]) == 2


def test_self_bleu() -> None:
    same, other = "one two three four five six", "a b c d e f"
    assert self_bleu([same] * 3) == pytest.approx(1)
    assert self_bleu([same, other]) == pytest.approx(0, abs=0.05)
    assert self_bleu([same]) is None
    assert self_bleu(["", ""]) == 0
    half = self_bleu([same, "one two three four five x"])
    assert half is not None
    # 5 of 6 words, 4 of 5 pairs, 3 of 4 triples, 2 of 3 quadruples, the same in both directions
    assert half == pytest.approx((5 / 6 * 4 / 5 * 3 / 4 * 2 / 3) ** 0.25)


# judge


def judge_of(folder: Path, code: str, threshold: float = 0.0) -> Judge:
    (folder / "reward.py").write_text(code)
    return Judge(folder / "reward.py", threshold)


@pytest.mark.parametrize(
    ("code", "score", "answer"),
    [
        ("def compute_score(**k): return 0.5", 0.5, "a b"),
        ("async def compute_score(**k): return True", 1.0, "a b"),
        ("def compute_score(**k): return {'score': 2, 'pred': 7}", 2.0, "7"),
        ("def compute_score(**k): return {'score': 0, 'pred': None}", 0.0, None),
        ("def compute_score(**k): return {'score': 0, 'extracted': 'z'}", 0.0, "z"),
        ("def compute_score(**k): return {'score': 0, 'pred': 1}\ndef answer_of(t, g): return t[1] + g", 0.0, " g"),
    ],
)
def test_scores_and_answers(tmp_path: Path, code: str, score: float, answer: str | None) -> None:
    (verdict,) = judge_of(tmp_path, code).judge([row(0) | {"reward_model": {"ground_truth": "g"}}], ["a  b"])
    assert (verdict.score, verdict.correct, verdict.answer) == (score, score > 0, answer)


def test_the_reward_function_gets_what_verl_gives_it(tmp_path: Path) -> None:
    code = "seen = []\ndef compute_score(data_source, solution_str, ground_truth, extra_info):\n"
    code += "    seen.append((data_source, solution_str, ground_truth, extra_info)); return 1"
    judge = judge_of(tmp_path, code)
    judge.judge([row(1)], ["text"])
    extra = {"index": 1, "num_turns": 2, "rollout_reward_scores": {}}
    assert judge._compute_score.__globals__["seen"] == [("odd", "text", "", extra)]


def test_threshold(tmp_path: Path) -> None:
    judge = judge_of(tmp_path, "def compute_score(**k): return 0.5", threshold=0.5)
    assert not judge.judge([row(0)], [""])[0].correct


def test_verls_own_reward_functions_are_the_default() -> None:
    gsm8k = {"data_source": "openai/gsm8k", "reward_model": {"ground_truth": "72"}}
    right, wrong = Judge(None).judge([gsm8k, gsm8k], ["so #### 72", "so #### 71"])
    assert (right.correct, wrong.correct) == (True, False)
    with pytest.raises(EvaluationError, match=r"not implemented for .*odd.*--reward-file"):
        Judge(None).judge([row(1)], [""])


def test_countdown_names_wrong_answers_too() -> None:
    assert answer_of("3*4=12", "34>12") == answer_of("4*3=12", "34>12") != answer_of("3+4=7", "34>12")
    assert answer_of("3+4=8", "34>12") is None


# models and settings


def test_reward_files_are_named_as_for_verl() -> None:
    import verl_resrl.tasks.countdown as countdown

    for name in (
        "pkg://verl_resrl.tasks.countdown",
        "pkg://verl_resrl/tasks/countdown",
        f"file://{countdown.__file__}",
    ):
        assert named_file(name) == countdown.__file__


def test_checkpoints_of_a_run(tmp_path: Path) -> None:
    for step in (5, 10, 20):
        (tmp_path / "checkpoints" / f"global_step_{step}" / "actor" / "huggingface").mkdir(parents=True)
    (tmp_path / "checkpoints" / "global_step_1").mkdir()  # verl has removed what was in it
    names = [target.name.split("/")[1] for target in checkpoints_of_run(tmp_path)]
    assert names == ["step_5", "step_10", "step_20"]
    (tmp_path / "checkpoints" / "latest_checkpointed_iteration.txt").write_text("10")  # 20 is being written
    target = checkpoints_of_run(tmp_path, [10])[0]
    assert target.folder == tmp_path / "evaluations" / "step_10"
    assert target.model == str(tmp_path / "checkpoints" / "global_step_10" / "actor" / "huggingface")
    (of_benchmark,) = checkpoints_of_run(tmp_path, [10], benchmark="aime24")
    assert of_benchmark.folder == tmp_path / "benchmarks" / "aime24" / "step_10"
    with pytest.raises(EvaluationError, match=r"step 20 of .* has no whole checkpoint \(it has: 5, 10\)"):
        checkpoints_of_run(tmp_path, [5, 20])
    with pytest.raises(EvaluationError, match="has no folder 'checkpoints'"):
        checkpoints_of_run(tmp_path / "checkpoints")


def test_a_checkpoint_without_weights_says_how_to_get_them(task: Path, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints" / "global_step_1" / "actor" / "huggingface"
    folder.mkdir(parents=True)
    shutil.copy(task / "model" / "config.json", folder)
    code, _, stderr = call("eval", "--run", str(tmp_path), "--data", str(task / "data.parquet"))
    assert code == 1
    assert "has no weights" in stderr
    assert "hf_model" in stderr


def test_seeds_differ_by_problem_response_and_seed() -> None:
    seeds = [
        Sampling(1, 1, seed=seed).seed_of(Job(problem, number))
        for seed, problem, number in itertools.product(range(3), repeat=3)
    ]
    assert len(set(seeds)) == 27
    assert max(seeds) < 2**56


def test_backends(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_backend("auto") == choose_backend("hf") == "hf"
    assert not caplog.records
    if importlib.util.find_spec("vllm") is None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        assert choose_backend("auto") == "hf"
        assert "vllm is not installed" in caplog.text  # nothing falls back silently


class Engine:
    """Stands in for vLLM's engine, which needs a GPU: ends the newest request first, two at a time."""

    def __init__(self) -> None:
        self.running: list[tuple[str, dict[str, Any], Any]] = []
        self.most = 0

    def add_request(self, request_id: str, prompt: dict[str, Any], params: Any) -> None:
        self.running.append((request_id, prompt, params))
        self.most = max(self.most, len(self.running))

    def step(self) -> list[Any]:
        ended = [self.running.pop() for _ in range(min(2, len(self.running)))]
        return [
            SimpleNamespace(
                request_id=name,
                finished=True,
                outputs=[SimpleNamespace(token_ids=(*prompt["prompt_token_ids"], seed), finish_reason="stop")],
            )
            for name, prompt, seed in ended
        ]


def test_vllm_gets_what_is_missing_and_a_bounded_number_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    generator: Any = object.__new__(VLLMGenerator)
    generator._engine, generator._sampling = Engine(), Sampling(8, 8)
    monkeypatch.setattr(VLLMGenerator, "_params", lambda self, job: self._sampling.seed_of(job))
    monkeypatch.setattr("verl_resrl.evaluation.vllm_generator.IN_FLIGHT", 5)
    problems = [Problem("p", [number], row(0)) for number in range(4)]
    jobs = [Job(problem, number) for problem in range(4) for number in range(3)]
    done = {Job(0, 1), Job(3, 2)}
    made = [pair for batch in generator.generate(problems, jobs, done) for pair in batch]
    assert sorted(job for job, _ in made) == [job for job in jobs if job not in done]
    for job, response in made:
        assert response == ([job.problem, Sampling(8, 8).seed_of(job)], True)
    assert generator._engine.most == 5


def test_vllm_hands_on_many_responses_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a reward function which runs programs has more than one to run."""
    generator: Any = object.__new__(VLLMGenerator)
    generator._engine, generator._sampling = Engine(), Sampling(8, 8)
    monkeypatch.setattr(VLLMGenerator, "_params", lambda self, job: 0)
    jobs = [Job(0, number) for number in range(150)]
    batches = [len(batch) for batch in generator.generate([Problem("p", [1], row(0))], jobs)]
    assert batches == [64, 64, 22]


def test_vllm_that_does_not_start_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(arguments: Any) -> None:
        raise ValueError("Free memory on device cuda:0\nis less than desired GPU memory utilization")

    engine = SimpleNamespace(from_engine_args=fail)
    monkeypatch.setitem(sys.modules, "vllm", SimpleNamespace(EngineArgs=lambda **_: None, LLMEngine=engine))
    with pytest.raises(EvaluationError, match=r"m: vLLM does not start .Free memory on device cuda:0 is less .* hf"):
        VLLMGenerator("m", Sampling(8, 8))


def test_responses_are_judged_while_the_next_are_made() -> None:
    """The second batch is made although the first one's verdicts have to wait for it."""
    made = threading.Event()

    class Generator:
        def generate(self, *_: object) -> Iterator[list[tuple[Job, Response]]]:
            yield [(Job(0, 0), Response([1], True))]
            made.set()
            yield [(Job(0, 1), Response([1], True))]

    class Waiting:
        def judge(self, rows: Sequence[Any], texts: Sequence[str]) -> list[Verdict]:
            assert made.wait(60)
            return [Verdict(1.0, True, None) for _ in texts]

        def stop(self) -> None:
            pass

    tokenizer = SimpleNamespace(decode=lambda ids, **_: "text")
    arguments: Any = (Generator(), Waiting(), [Problem("p", [1], row(0))], [], (), tokenizer)
    assert [[sample.sample for sample in batch] for batch in sample_and_judge(*arguments)] == [[0], [1]]


def test_settings_are_frozen_and_validated() -> None:
    with pytest.raises(EvaluationError, match="--token-weights compares right and wrong"):
        Settings(model="m", data=("d",), n=1, k=(1,), token_weights=1)


# token view


def test_states_are_hugging_faces_one_sequence_at_a_time(task: Path) -> None:
    data = make_batch([("a", 3, 5, 1.0), ("a", 3, 2, 0.0), ("a", 3, 7, 0.0)])
    prompt = data["prompts"].unbind()[0]
    responses = [response.tolist() for response in data["responses"].unbind()]
    ids = [torch.cat([prompt, torch.tensor(response)]) for response in responses]
    data["input_ids"] = torch.nested.as_nested_tensor(ids, layout=torch.jagged)
    model = AutoModelForCausalLM.from_pretrained(task / "model", dtype=torch.float32).eval()
    states = response_states(model, prompt.tolist(), responses).hidden["last", "predicting"]
    torch.testing.assert_close(states, torch.cat(last_layer_inputs(task / "model", data)), atol=1e-5, rtol=1e-5)


def test_other_states_and_entropy_are_hugging_faces(task: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(task / "model", dtype=torch.float32).eval()
    prompt, responses = [3, 4], [[5, 6, 7], [8]]
    wanted = [("middle", "consuming"), (1, "predicting")]
    states = response_states(model, prompt, responses, wanted, with_entropy=True)
    middle, first, entropy = [], [], []
    with torch.no_grad():
        for response in responses:
            out = model(torch.tensor([prompt + response]), output_hidden_states=True)
            middle.append(out.hidden_states[model.config.num_hidden_layers // 2][0, 2:])
            first.append(out.hidden_states[1][0, 1:-1])
            log_probs = out.logits[0, 1:-1].log_softmax(-1)
            entropy.append(-(log_probs.exp() * log_probs).sum(-1))
    for found, expected in zip([*states.hidden.values(), states.entropy], (middle, first, entropy), strict=True):
        torch.testing.assert_close(found, torch.cat(expected), atol=1e-5, rtol=1e-5)


def test_token_view_shows_the_weights_of_a_wrong_response(task: Path, evaluated: Path) -> None:
    views = [json.loads(line) for line in (evaluated / "tokens.jsonl").read_text().splitlines()]
    samples = samples_in(evaluated)
    assert len(views) == 2
    assert len({weight for view in views for weight in view["negative"]["weights"]}) > 1
    model = AutoModelForCausalLM.from_pretrained(task / "model", dtype=torch.float32).eval()
    for view in views:
        group = [s for s in samples if s["problem"] == view["problem"]]
        wrong = next(s for s in group if not s["correct"])
        right = next(s for s in group if s["correct"])
        for shown, chosen in ((view["negative"], wrong), (view["positive"], right)):
            assert shown["tokens"] == chosen["response"].split() + ["<|im_end|>"] * chosen["finished"]
        ids = [[int(word[1:]) for word in s["response"].split()] + [1] * s["finished"] for s in group]
        hidden = response_states(model, [3 + view["problem"]], ids).hidden["last", "predicting"]
        sequence = torch.tensor([i for i, response in enumerate(ids) for _ in response])
        correct = torch.tensor([s["correct"] for s in group])
        out = token_weights(hidden, sequence, torch.zeros(len(group), dtype=torch.int64), correct)
        own = sequence == group.index(wrong)
        assert view["negative"]["weights"] == pytest.approx(out.weights[own].tolist(), abs=1e-5)
        assert view["negative"]["residuals"] == pytest.approx(out.residual[own].tolist(), rel=1e-3)
