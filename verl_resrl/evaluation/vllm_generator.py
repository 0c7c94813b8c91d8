# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Problems -> responses with vLLM, on a GPU."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from verl_resrl.evaluation.generate import Job, Response, Sampling, free_memory
from verl_resrl.evaluation.problems import Problem
from verl_resrl.evaluation.settings import EvaluationError

IN_FLIGHT = 1024  # requests that vLLM holds at a time; it batches as many as fit
TOGETHER = 64  # responses of vLLM that are handed on at a time; the reward function runs on many at once


class VLLMGenerator:
    """Generates with vLLM's engine, which batches as it sees fit; responses come in the order in which they end.

    Seeds are per request here too. vLLM's arithmetic depends on what it batches together, so a continued run equals
    one that was never stopped up to the rounding of logits.

    Args:
        model: Hugging Face model.
        sampling: how to sample.
        tensor_parallel_size: GPUs that share the model.

    Raises:
        EvaluationError: the engine does not start, as with too little free memory.
    """

    def __init__(self, model: str, sampling: Sampling, tensor_parallel_size: int = 1) -> None:
        from vllm import EngineArgs, LLMEngine

        self._sampling = sampling
        try:
            self._engine: Any = LLMEngine.from_engine_args(
                EngineArgs(
                    model=model,
                    dtype="bfloat16",
                    max_model_len=sampling.max_prompt_tokens + sampling.max_tokens,
                    tensor_parallel_size=tensor_parallel_size,
                    enable_prefix_caching=True,  # the responses to a problem share its prompt
                    disable_log_stats=True,
                )
            )
        except (RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:300]
            raise EvaluationError(f"{model}: vLLM does not start ({reason}); --backend hf works without it") from error

    def generate(
        self, problems: Sequence[Problem], jobs: Sequence[Job], done: Collection[Job] = ()
    ) -> Iterator[list[tuple[Job, Response]]]:
        """Generate what is missing; see ``HFGenerator.generate``.

        Yields:
            Responses in the order in which they ended, ``TOGETHER`` or a few more at a time.
        """
        waiting = iter([job for job in jobs if job not in done])
        running: dict[str, Job] = {}
        ended: list[tuple[Job, Response]] = []
        while True:
            while len(running) < IN_FLIGHT and (job := next(waiting, None)) is not None:
                name = f"{job.problem}-{job.sample}"
                prompt = {"prompt_token_ids": problems[job.problem].prompt_ids}
                self._engine.add_request(name, prompt, self._params(job))
                running[name] = job
            if len(ended) >= TOGETHER or (ended and not running):
                yield ended
                ended = []
            if not running:
                return
            ended += [
                (running.pop(output.request_id), _response(output.outputs[0]))
                for output in self._engine.step()
                if output.finished
            ]

    def close(self) -> None:
        """Let go of the engine: its process ends, and the GPU is free for the next model."""
        self._engine = None
        free_memory()

    def _params(self, job: Job) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        return SamplingParams(
            temperature=self._sampling.temperature,
            top_p=self._sampling.top_p,
            max_tokens=self._sampling.max_tokens,
            seed=self._sampling.seed_of(job),
            detokenize=False,  # we decode as verl does
            output_kind=RequestOutputKind.FINAL_ONLY,
        )


def _response(output: Any) -> Response:
    return Response(list(output.token_ids), output.finish_reason == "stop")
