# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Seeds of responses, the choice between vLLM and Hugging Face, and how vLLM is fed."""

import importlib.util
import itertools
import sys
import threading
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.evaluation.evaluations import row
from verl_resrl.evaluation.evaluate import sample_and_judge
from verl_resrl.evaluation.generate import Job, Response, Sampling, choose_backend
from verl_resrl.evaluation.judge import Verdict
from verl_resrl.evaluation.problems import Problem
from verl_resrl.evaluation.settings import EvaluationError
from verl_resrl.evaluation.vllm_generator import VLLMGenerator


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
