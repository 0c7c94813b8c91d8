# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Seeds of responses, the choice between vLLM and Hugging Face, and how vLLM is fed."""

import importlib.util
import itertools
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.evaluation.evaluations import row
from verl_resrl.evaluation import vllm_generator
from verl_resrl.evaluation.evaluate import sample_and_judge
from verl_resrl.evaluation.generate import Job, Response, Sampling, choose_backend, choose_dtype
from verl_resrl.evaluation.judge import Verdict
from verl_resrl.evaluation.problems import Problem
from verl_resrl.evaluation.settings import EvaluationError
from verl_resrl.evaluation.vllm_generator import VLLMGenerator
from verl_resrl.evaluation.vllm_process import reason_of


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
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_backend("auto") == "hf"
    assert "vllm is not installed" in caplog.text  # nothing falls back silently
    with pytest.raises(EvaluationError, match="--backend vllm needs the package vllm"):
        choose_backend("vllm")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    assert choose_backend("auto") == choose_backend("vllm") == "vllm"
    assert choose_backend("hf") == "hf"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert (choose_backend("vllm"), choose_backend("auto")) == ("vllm", "hf")  # there are builds that need no GPU


def test_precisions(monkeypatch: pytest.MonkeyPatch) -> None:
    for gpu, by_default in ((False, "float32"), (True, "bfloat16")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda gpu=gpu: gpu)
        assert [choose_dtype(name) for name in ("auto", "float32", "bfloat16")] == [by_default, "float32", "bfloat16"]


# stands in for vLLM's process: takes so many requests as have come, then ends the newest of them first
ENGINE = """
import json, queue, sys, threading

def say(value):
    print(json.dumps(value), flush=True)

settings = json.loads(sys.stdin.readline())
print(settings, file=sys.stderr)
if settings["model"] == "bad":
    say({"error": "ValueError: too little memory"})
    sys.exit(1)
say({"ready": True})
running, most, ended = [], 0, 0
for line in sys.stdin:
    request = json.loads(line)
    if request is None:
        break
    running.append(request)
    most = max(most, len(running))
    if len(running) < MOST and request[0] != LAST:
        continue
    while running and (request[0] == LAST or len(running) > MOST - 2):
        name, prompt_ids, sampling = running.pop()
        say([name, [*prompt_ids, sampling["seed"], sampling["max_tokens"], most], True])
        ended += 1
        if ended == DIES_AFTER:
            sys.exit(3)
"""


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., VLLMGenerator]:
    """Starts the stand-in, which knows the last request and how many are in flight."""

    def started(model: str, sampling: Sampling, in_flight: int, last: str, dies_after: int = -1) -> VLLMGenerator:
        program = f"MOST, LAST, DIES_AFTER = {in_flight}, {last!r}, {dies_after}\n{ENGINE}"
        monkeypatch.setattr(vllm_generator, "COMMAND", [sys.executable, "-c", program])
        monkeypatch.setattr(vllm_generator, "IN_FLIGHT", in_flight)
        return VLLMGenerator(model, sampling, tmp_path / "vllm.log", "float32")

    return started


def test_vllm_gets_what_is_missing_and_a_bounded_number_at_a_time(start: Callable[..., VLLMGenerator]) -> None:
    sampling = Sampling(8, 8, context=12)
    problems = [Problem("p", [9] * number, row(0)) for number in range(1, 7)]
    jobs = [Job(problem, number) for problem in range(6) for number in range(3)]
    done = {Job(0, 1), Job(5, 1)}
    with closing(start("m", sampling, in_flight=5, last="5-2")) as generator:
        made = [pair for batch in generator.generate(problems, jobs, done) for pair in batch]
    assert sorted(job for job, _ in made) == [job for job in jobs if job not in done]
    for job, response in made:
        prompt = problems[job.problem].prompt_ids
        limit = min(8, 12 - len(prompt))  # what the context leaves
        assert response.token_ids[:-1] == [*prompt, sampling.seed_of(job), limit]
    assert max(response.token_ids[-1] for _, response in made) == 5


def test_vllm_hands_on_many_responses_at_a_time(start: Callable[..., VLLMGenerator]) -> None:
    """So that a reward function which runs programs has more than one to run."""
    jobs = [Job(0, number) for number in range(150)]
    with closing(start("m", Sampling(8, 8), in_flight=200, last="0-149")) as generator:
        batches = [len(batch) for batch in generator.generate([Problem("p", [1], row(0))], jobs)]
    assert batches == [64, 64, 22]


def test_a_stopped_evaluation_does_not_wait_for_an_engine_that_waits_to_be_read(
    start: Callable[..., VLLMGenerator],
) -> None:
    jobs = [Job(0, number) for number in range(150)]
    prompt = list(range(5000))  # the stand-in answers with it: more than a pipe holds
    with closing(start("m", Sampling(8, 8), in_flight=200, last="0-149")) as generator:
        assert len(next(generator.generate([Problem("p", prompt, row(0))], jobs))) == 64
    assert generator._process.returncode >= 0  # it ended by itself, before it was killed


@pytest.mark.parametrize(("context", "length"), [(None, 16), (99, 16), (12, 12)])
def test_vllm_is_not_asked_for_more_than_the_context(
    context: int | None, length: int, tmp_path: Path, start: Callable[..., VLLMGenerator]
) -> None:
    start("m", Sampling(8, 8, context=context), in_flight=1, last="").close()
    assert f"'max_model_len': {length}" in (tmp_path / "vllm.log").read_text()


def test_vllm_that_does_not_start_is_told_in_one_line(start: Callable[..., VLLMGenerator]) -> None:
    with pytest.raises(EvaluationError, match=r"^bad: vLLM does not start .ValueError: too little memory.*hf"):
        start("bad", Sampling(8, 8), in_flight=1, last="")


def test_responses_before_the_end_of_an_engine_are_kept(start: Callable[..., VLLMGenerator]) -> None:
    jobs = [Job(0, number) for number in range(20)]
    with closing(start("m", Sampling(8, 8), in_flight=20, last="0-19", dies_after=7)) as generator:
        batches = generator.generate([Problem("p", [1], row(0))], jobs)
        assert len(next(batches)) == 7
        with pytest.raises(EvaluationError, match=r"engine ended .exit status 3.*the same command continues"):
            next(batches)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("Free memory on device\nis less"), "ValueError: Free memory on device is less"),
        (
            ValueError(
                "1 validation error for ModelConfig\n  Value error, max_model_len (512) is greater [type=value_error, "
                "input_value=ArgsKwargs((), {'model'...}), input_type=ArgsKwargs]\n  For further information"
            ),
            "ValueError: max_model_len (512) is greater",
        ),
        (RuntimeError("word " * 99), "RuntimeError: " + "word " * 79 + "..."),
    ],
)
def test_a_reason_is_one_line_of_whole_words(error: Exception, reason: str) -> None:
    assert reason_of(error) == reason


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


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and glibc")
def test_host_memory_goes_back_to_the_system() -> None:
    """Blocks too small for pages of their own, below one that is still used: glibc alone would keep them."""
    script = """
import torch
from pathlib import Path
from verl_resrl.evaluation.generate import free_memory
def megabytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20
blocks = [torch.ones(15_000) for _ in range(4_000)]  # 60 kB each, 229 MiB
last = blocks.pop()
blocks = None
before = megabytes()
free_memory()
print(before - megabytes())
"""
    printed = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert float(printed) > 200
