# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Problems -> responses with vLLM, which runs in a process of its own (``vllm_process``)."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from verl_resrl.evaluation.generate import Job, Response, Sampling
from verl_resrl.evaluation.problems import Problem
from verl_resrl.evaluation.settings import EvaluationError

COMMAND = [sys.executable, "-m", "verl_resrl.evaluation.vllm_process"]
LOG_FILE = "vllm.log"
IN_FLIGHT = 1024  # requests that vLLM holds at a time; it batches as many as fit
TOGETHER = 64  # responses of vLLM that are handed on at a time; the reward function runs on many at once
SECONDS_TO_END = 20.0  # of an engine that was told to, before it is killed
# of a worker in a process of its own, in vLLM's log: what it raised first
_RAISED = re.compile(r"ERROR .*\] ((?:\w+\.)*\w*(?:Error|Exception): .+)")


class VLLMGenerator:
    """Generates with vLLM's engine, which batches as it sees fit; responses come in the order in which they end.

    Seeds are per request here too. vLLM's arithmetic depends on what it batches together, so a continued run equals
    one that was never stopped up to the rounding of logits.

    Args:
        model: Hugging Face model.
        sampling: how to sample.
        log: file for all that vLLM prints.
        dtype: "float32" or "bfloat16".
        tensor_parallel_size: GPUs that share the model.

    Raises:
        EvaluationError: the engine does not start, as with too little free memory.
    """

    def __init__(self, model: str, sampling: Sampling, log: Path, dtype: str, tensor_parallel_size: int = 1) -> None:
        self._sampling, self._log, self._ready = sampling, log, False
        with log.open("wb") as file:
            self._process: Any = subprocess.Popen(  # Any, because its pipes are there
                [*COMMAND, str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                start_new_session=True,  # Ctrl-C is for the evaluation
            )
        length = sampling.max_prompt_tokens + sampling.max_tokens
        try:
            self._send(
                {
                    "model": model,
                    "max_model_len": min(length, sampling.context or length),
                    "tensor_parallel_size": tensor_parallel_size,
                    "dtype": dtype,
                }
            )
            answer = self._receive()
            if "error" in answer:
                reason = self._reason(answer)
                raise EvaluationError(
                    f"{model}: vLLM does not start ({reason}); its log is {log}; --backend hf works without it"
                )
        except BaseException:
            self.close()
            raise
        self._ready = True

    def generate(
        self, problems: Sequence[Problem], jobs: Sequence[Job], done: Collection[Job] = ()
    ) -> Iterator[list[tuple[Job, Response]]]:
        """Generate what is missing; see ``HFGenerator.generate``.

        Yields:
            Responses in the order in which they ended, ``TOGETHER`` or a few more at a time.

        Raises:
            EvaluationError: the engine ended; after what was there has been yielded.
        """
        waiting = iter([job for job in jobs if job not in done])
        running: dict[str, Job] = {}
        ended: list[tuple[Job, Response]] = []
        while True:
            while len(running) < IN_FLIGHT and (job := next(waiting, None)) is not None:
                name = f"{job.problem}-{job.sample}"
                running[name] = job
                self._send([name, problems[job.problem].prompt_ids, self._params(job, problems[job.problem])])
            if len(ended) >= TOGETHER or (ended and not running):
                yield ended
                ended = []
            if not running:
                return
            answer = self._receive()
            if isinstance(answer, dict):
                if ended:
                    yield ended
                raise EvaluationError(
                    f"vLLM's engine ended ({self._reason(answer)}); its log is {self._log}; the samples are kept, and "
                    "the same command continues"
                )
            name, token_ids, finished = answer
            ended.append((running.pop(name), Response(token_ids, finished)))

    def close(self) -> None:
        """End vLLM's process, so that the GPU is free for the next model."""
        process = self._process
        if self._ready:
            self._send(None)
            process.stdout.close()  # it may be waiting for an answer to be read
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(SECONDS_TO_END)
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()

    def _params(self, job: Job, problem: Problem) -> dict[str, Any]:
        return {
            "temperature": self._sampling.temperature,
            "top_p": self._sampling.top_p,
            "max_tokens": self._sampling.limit_of(problem.prompt_ids),
            "seed": self._sampling.seed_of(job),
        }

    def _send(self, value: Any) -> None:
        """Write a line; an engine that has ended says so when it is read from."""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(value).encode() + b"\n")
            self._process.stdin.flush()

    def _receive(self) -> Any:
        """Read a line; where the process has ended without one, an error that says how."""
        line = self._process.stdout.readline()
        if line.endswith(b"\n"):
            return json.loads(line)
        code = self._process.wait()
        return {"error": f"killed by signal {-code}" if code < 0 else f"exit status {code}"}

    def _reason(self, answer: dict[str, str]) -> str:
        """What went wrong; if that was in a worker of tensor parallelism, vLLM only points to what it has logged."""
        found = None
        if "root cause" in answer["error"]:
            found = _RAISED.search(self._log.read_text(encoding="utf-8", errors="replace"))
        return " ".join(found[1].split()) if found else answer["error"]
