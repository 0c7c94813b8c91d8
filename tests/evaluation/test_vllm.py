# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""``resrl eval`` with a real vLLM, which on a CPU computes in float32 as Hugging Face does."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.evaluation.evaluations import call, row, samples_in, write_rows
from tests.integration.engines import save_model

pytestmark = pytest.mark.vllm

PROBLEMS, SAMPLES = 40, 16
# sends a signal to its process, or to vLLM's, in the call that a variable names
REWARD = """
import itertools, os, signal
import psutil
calls = itertools.count(1)

def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    kind, _, call = os.environ.get("SIGNAL_AT_CALL", "none 0").partition(" ")
    if next(calls) == int(call):
        if kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "interrupt":
            os.kill(os.getpid(), signal.SIGINT)
        if kind == "engine":
            for child in psutil.Process().children():
                if any("vllm_process" in part for part in child.cmdline()):
                    child.kill()
    return float("t7" in solution_str.split())
"""


@pytest.fixture(scope="module")
def vllm_task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model with a size of heads that vLLM has for CPUs, problems and a reward that some responses earn."""
    folder = tmp_path_factory.mktemp("vllm")
    save_model("Llama", folder / "model", hidden_size=128, head_dim=32)
    (folder / "reward.py").write_text(REWARD)
    write_rows(folder / "data.parquet", *(row(i) for i in range(PROBLEMS)))
    return folder


def arguments(task: Path, out: Path, *more: str) -> list[str]:
    given = {
        "--model": str(task / "model"),
        "--data": str(task / "data.parquet"),
        "--out": str(out),
        "--n": str(SAMPLES),
        "--max-tokens": "24",
        "--max-prompt-tokens": "24",
        "--reward-file": str(task / "reward.py"),
        "--backend": "vllm",
    } | dict(zip(more[::2], more[1::2], strict=True))
    return ["eval", *(part for pair in given.items() for part in pair)]


def start(given: list[str], **variables: str) -> "subprocess.Popen[str]":
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from verl_resrl.cli import app; app()"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program, *given],
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def engines_of(pid: int) -> list[psutil.Process]:
    """Processes of vLLM that an evaluation has started: the session of each is its engine's."""
    found = [one for one in psutil.process_iter(["cmdline"]) if "vllm_process" in " ".join(one.info["cmdline"] or ())]
    sessions = {one.pid for one in found if (one.info["cmdline"] or [""])[-1] == str(pid)}
    return [one for one in psutil.process_iter() if _session(one.pid) in sessions]


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return -1


def responses(folder: Path) -> dict[tuple[int, int], tuple[Any, ...]]:
    names = ("prompt", "response", "num_tokens", "finished", "correct")
    return {(one["problem"], one["sample"]): tuple(one[name] for name in names) for one in samples_in(folder)}


@pytest.fixture(scope="module")
def whole(vllm_task: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an evaluation that was never stopped."""
    out = tmp_path_factory.mktemp("whole") / "out"
    code, stdout, stderr = call(*arguments(vllm_task, out))
    assert (code, stderr) == (0, "")
    assert f"vLLM's log: {out / 'vllm.log'}" in stdout
    return out


def test_greedy_equals_hugging_face_token_by_token(
    vllm_task: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Also with several ends of sequence, with other defaults of generation_config.json, and at the context's end."""
    shutil.copytree(vllm_task / "model", tmp_path / "model")
    defaults = {"do_sample": True, "temperature": 9.0, "top_k": 2, "repetition_penalty": 9.0, "max_new_tokens": 3}
    (tmp_path / "model" / "generation_config.json").write_text(json.dumps({"eos_token_id": [1, 45], **defaults}))
    long = [
        row(i) | {"prompt": [{"role": "user", "content": " ".join(["t9"] * n)}]} for i, n in enumerate((50, 63, 64))
    ]
    write_rows(tmp_path / "data.parquet", *(row(i) for i in range(PROBLEMS)), *long)
    more = ["--model", f"{tmp_path}/model", "--data", f"{tmp_path}/data.parquet", "--temperature", "0", "--n", "1"]
    more += ["--max-prompt-tokens", "100"]
    for backend in ("vllm", "hf"):
        assert call(*arguments(vllm_task, tmp_path / backend, *more, "--backend", backend))[0] == 0
        assert caplog.messages == ["1 problems are left out: their prompts have over 63 tokens"]
        caplog.clear()
    made = responses(tmp_path / "vllm")
    assert made == responses(tmp_path / "hf")
    assert len(made) == PROBLEMS + 2
    ends = {text.split()[-1] for _, text, _, finished, _ in made.values() if finished}
    assert "t45" in ends
    assert [made[number, 0][2] for number in (PROBLEMS, PROBLEMS + 1)] == [14, 1]  # what the context leaves
    assert "deprecated" not in (tmp_path / "vllm" / "vllm.log").read_text()


def test_averages_agree_with_those_of_hugging_face(vllm_task: Path, whole: Path, tmp_path: Path) -> None:
    assert call(*arguments(vllm_task, tmp_path, "--backend", "hf"))[0] == 0
    ours, theirs = (
        json.loads((folder / "summary.json").read_text())["overall"]["avg_at_n"] for folder in (whole, tmp_path)
    )
    assert ours["low"] <= theirs["mean"] <= ours["high"]
    assert theirs["low"] <= ours["mean"] <= theirs["high"]
    assert 0.1 < ours["mean"] < 0.9


def test_prompts_that_do_not_fit_in_one_batch_are_each_prefilled_whole(vllm_task: Path, tmp_path: Path) -> None:
    """VLLM splits the last prompt of a full batch, and samples with a seed of their own then fail on a CPU."""
    rows = [row(i) | {"prompt": [{"role": "user", "content": " ".join([f"t{i % 40 + 3}"] * 55)}]} for i in range(150)]
    write_rows(tmp_path / "data.parquet", *rows)
    more = ["--data", f"{tmp_path}/data.parquet", "--n", "1", "--max-tokens", "4", "--max-prompt-tokens", "60"]
    code, _, stderr = call(*arguments(vllm_task, tmp_path / "out", *more))
    assert (code, stderr) == (0, "")
    assert len(samples_in(tmp_path / "out")) == len(rows)


def test_killed_and_interrupted_runs_leave_no_engine_and_continue_to_the_same_responses(
    vllm_task: Path, whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    given = arguments(vllm_task, out)
    for kind, at, code in (("interrupt", 5, 130), ("kill", 70, -signal.SIGKILL)):
        stopped = start(given, SIGNAL_AT_CALL=f"{kind} {at}")
        _, stderr = stopped.communicate(timeout=300)
        assert stopped.returncode == code, stderr
        assert psutil.wait_procs(engines_of(stopped.pid), timeout=3)[1] == []
    assert 0 < len(samples_in(out)) < PROBLEMS * SAMPLES
    assert call(*given)[0] == 0
    assert responses(out) == responses(whole)


def test_an_engine_that_is_killed_is_told_in_one_line_and_the_samples_are_kept(
    vllm_task: Path, whole: Path, tmp_path: Path
) -> None:
    died = start(arguments(vllm_task, tmp_path), SIGNAL_AT_CALL="engine 70")
    _, stderr = died.communicate(timeout=300)
    assert died.returncode == 1
    assert stderr == (
        f"error: vLLM's engine ended (killed by signal 9); its log is {tmp_path}/vllm.log; the samples are kept, and "
        "the same command continues\n"
    )
    assert 64 <= len(samples_in(tmp_path)) < PROBLEMS * SAMPLES
    assert responses(tmp_path).items() <= responses(whole).items()


def test_an_evaluation_killed_before_the_engine_has_started_leaves_none(vllm_task: Path, tmp_path: Path) -> None:
    evaluation = start(arguments(vllm_task, tmp_path))
    while not (engines := engines_of(evaluation.pid)):
        assert evaluation.poll() is None
    evaluation.kill()
    evaluation.communicate()
    assert psutil.wait_procs(engines, timeout=3)[1] == []


@pytest.mark.parametrize("ranks", ["1", pytest.param("2", marks=pytest.mark.long)])
def test_an_engine_that_does_not_start_says_why_in_one_line(
    ranks: str, vllm_task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1000000")
    monkeypatch.setenv("VLLM_CPU_SIM_MULTI_NUMA", "1")  # two workers on a machine of one memory node
    code, _, stderr = call(*arguments(vllm_task, tmp_path, "--tensor-parallel-size", ranks))
    assert (code, stderr.count("\n")) == (1, 1)
    assert "vLLM does not start (" in stderr
    assert "memory" in stderr
    assert f"its log is {tmp_path}/vllm.log; --backend hf works without it" in stderr


def test_a_model_that_vllm_cannot_compute_with_is_told_in_one_line(vllm_task: Path, tmp_path: Path) -> None:
    save_model("Llama", tmp_path / "model")  # heads of 8
    code, _, stderr = call(*arguments(vllm_task, tmp_path / "out", "--model", str(tmp_path / "model")))
    assert (code, stderr.count("\n")) == (1, 1)
    assert "vLLM's engine ended (RuntimeError: Unsupported CPU attention configuration: head_dim=8" in stderr


@pytest.mark.long
def test_several_models_in_one_command_and_token_weights(vllm_task: Path, whole: Path, tmp_path: Path) -> None:
    for step in (5, 10):
        shutil.copytree(vllm_task / "model", tmp_path / "checkpoints" / f"global_step_{step}" / "actor" / "huggingface")
    given = arguments(vllm_task, tmp_path, "--token-weights", "2", "--run", str(tmp_path))
    for name in ("--model", "--out"):
        del given[given.index(name) : given.index(name) + 2]
    code, _, stderr = call(*given)
    assert (code, stderr) == (0, "")
    for step in (5, 10):
        folder = tmp_path / "evaluations" / f"step_{step}"
        assert responses(folder) == responses(whole)
        assert len((folder / "tokens.jsonl").read_text().splitlines()) == 2
