# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""``resrl eval`` as a user calls it: the figures are those of the samples, kill and resume, runs, benchmarks, help."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.evaluation.evaluations import PROBLEMS, SAMPLES, arguments, call, row, samples_in, write_rows
from verl_resrl.evaluation.generate import load_model


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
        assert sample["answer"] is None  # the reward names none
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
        assert figures["majority_vote"] is None
        for figure in (figures["avg_at_n"], *figures["pass_at_k"].values()):
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


def test_the_precision_is_what_was_asked_for(task: Path, evaluated: Path, tmp_path: Path) -> None:
    by_default = "bfloat16" if torch.cuda.is_available() else "float32"
    for name in ("float32", "bfloat16"):
        assert load_model(str(task / "model"), name).dtype == getattr(torch, name)
        assert call(*arguments(task, tmp_path / name, "--dtype", name))[0] == 0
        assert (samples_in(tmp_path / name) == samples_in(evaluated)) == (name == by_default)
        assert json.loads((tmp_path / name / "settings.json").read_text())["dtype"] == name
    other = {"float32": "bfloat16", "bfloat16": "float32"}[by_default]
    code, _, error = call(*arguments(task, evaluated, "--dtype", other))
    assert (code, f'dtype is "{by_default}" there and "{other}" now' in error) == (1, True)


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
    for name, kind, more in (("a", "resrl", ", rank: 2, weighting: entropy, layer: 1"), ("b", "language_model", "")):
        run = tmp_path / name
        shutil.copytree(task / "model", run / "checkpoints" / "global_step_5" / "actor" / "huggingface")
        config = run / "hydra" / ".hydra" / "config.yaml"
        config.parent.mkdir(parents=True)
        config.write_text(
            f"actor_rollout_ref: {{model: {{path: {task / 'model'}, model_type: {kind}}}}}\n"
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
