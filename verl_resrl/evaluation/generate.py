# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Problems -> responses, batch by batch with Hugging Face; ``vllm_generator`` does it with vLLM.

Every response has a seed of its own, made of the evaluation's seed, the problem and the number of the response: all
models get the same luck, and a response does not depend on what was generated before it, in this process or another.
"""

import gc
import hashlib
import importlib.util
import json
import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from verl_resrl.cpu.memory import return_memory
from verl_resrl.evaluation.problems import Problem
from verl_resrl.evaluation.settings import EvaluationError

logger = logging.getLogger(__name__)

TOKENS_OF_A_BATCH = 32768  # prompts and responses that are generated together


class Job(NamedTuple):
    """One response to make: number of the problem and number of the response to it."""

    problem: int
    sample: int


@dataclass(frozen=True)
class Sampling:
    """How to sample.

    Attributes:
        max_tokens: longest response.
        max_prompt_tokens: longest prompt.
        temperature: 0 takes the most likely token.
        top_p: sample among the most likely tokens that together have this probability.
        seed: of all responses.
        context: most tokens of a prompt and a response to it together; None if the model names none.
    """

    max_tokens: int
    max_prompt_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0
    context: int | None = None

    def limit_of(self, prompt_ids: Sequence[int]) -> int:
        """Longest response to a prompt: what the context leaves, as in verl's rollouts."""
        return self.max_tokens if self.context is None else min(self.max_tokens, self.context - len(prompt_ids))

    def seed_of(self, job: Job) -> int:
        """Seed of one response, below 2**56."""
        identity = json.dumps([self.seed, job.problem, job.sample]).encode()
        return int.from_bytes(hashlib.sha256(identity).digest()[:7], "big")


class Response(NamedTuple):
    """A response: its tokens, and whether it ended by itself rather than at the longest length."""

    token_ids: list[int]
    finished: bool


def choose_backend(backend: str) -> str:
    """Tell which implementation generates.

    Args:
        backend: "auto" is vLLM where an NVIDIA GPU and the package are, and Hugging Face otherwise; "vllm" is vLLM
            wherever it is installed, because there are builds of it that need no GPU.

    Returns:
        "vllm" or "hf".

    Raises:
        EvaluationError: "vllm" where it is not installed.
    """
    import torch

    gpu, installed = torch.cuda.is_available(), importlib.util.find_spec("vllm") is not None
    if backend == "vllm":
        if not installed:
            raise EvaluationError(
                "--backend vllm needs the package vllm (pip install vllm); use --backend auto for whichever can run"
            )
        return "vllm"
    if backend == "auto" and gpu and not installed:
        logger.warning("vllm is not installed: generating with Hugging Face, which is slower (pip install vllm)")
    return "vllm" if backend == "auto" and gpu and installed else "hf"


def choose_dtype(dtype: str) -> str:
    """Tell in which precision a model computes.

    Args:
        dtype: "auto" is bfloat16 on a GPU and float32 on a CPU: what a model's configuration says does not count, as
            verl writes bfloat16 into that of its checkpoints, whatever the weights are.

    Returns:
        "float32" or "bfloat16".
    """
    import torch

    return ("bfloat16" if torch.cuda.is_available() else "float32") if dtype == "auto" else dtype


def load_tokenizer(model: str) -> Any:
    """Load a model's tokenizer.

    Raises:
        EvaluationError: transformers cannot, or there is no chat template.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(model)
    except Exception as error:  # of transformers and tokenizers
        reason = " ".join(str(error).split())[:300]
        raise EvaluationError(f"{model}: its tokenizer cannot be loaded ({reason})") from None
    if tokenizer.chat_template is None:
        raise EvaluationError(f"{model}: its tokenizer has no chat template, which verl's data format needs")
    return tokenizer


def load_model(model: str, dtype: str = "auto") -> Any:
    """Load a model in eval mode.

    Args:
        model: Hugging Face model, a folder or a name on the hub.
        dtype: see ``choose_dtype``.

    Raises:
        EvaluationError: transformers cannot.
    """
    import torch
    from transformers import AutoModelForCausalLM

    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(model, dtype=getattr(torch, choose_dtype(dtype)))
    except Exception as error:  # of transformers, safetensors, torch: missing, cut off or of another shape
        reason = " ".join(str(error).split())[:300]
        raise EvaluationError(f"{model} cannot be loaded ({type(error).__name__}: {reason})") from None
    return loaded.eval().to("cuda" if torch.cuda.is_available() else "cpu")


def free_memory() -> None:
    """Give the memory of models that are no longer held, on GPU and host, back to other processes.

    Such as vLLM's engine, or the trainings that follow: PyTorch and glibc would keep it for later.
    """
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return_memory()


class HFGenerator:
    """Generates with ``verl_resrl.cpu.generate``, in batches that are the same in every call.

    Args:
        model: see ``load_model``.
        tokenizer: of the model.
        sampling: how to sample.
        dtype: see ``choose_dtype``.
    """

    def __init__(self, model: str, tokenizer: Any, sampling: Sampling, dtype: str = "auto") -> None:
        from verl_resrl.cpu.attention import share_keys

        self._model: Any = load_model(model, dtype)
        share_keys(self._model)
        self._sampling = sampling
        eos = self._model.generation_config.eos_token_id
        self._eos_ids = {*(eos if isinstance(eos, list) else [eos]), tokenizer.eos_token_id} - {None}
        self._pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0

    def generate(
        self, problems: Sequence[Problem], jobs: Sequence[Job], done: Collection[Job] = ()
    ) -> Iterator[list[tuple[Job, Response]]]:
        """Generate what is missing.

        Rounding in a batched forward depends on the batch: a batch that a killed run has left half written is made
        again as a whole, so that a continued run equals one that was never stopped, to the bit.

        Args:
            problems: all of them.
            jobs: all responses of the evaluation, always in the same order.
            done: those that are there.

        Yields:
            Responses that were missing, batch after batch in the order of ``jobs``.
        """
        from verl_resrl.cpu.generate import Request, generate

        sampling = self._sampling
        size = max(1, TOKENS_OF_A_BATCH // (sampling.max_prompt_tokens + sampling.max_tokens))
        for start in range(0, len(jobs), size):
            batch = jobs[start : start + size]
            if all(job in done for job in batch):
                continue
            requests = [
                Request(
                    problems[job.problem].prompt_ids,
                    sampling.limit_of(problems[job.problem].prompt_ids),
                    temperature=sampling.temperature,
                    top_p=sampling.top_p,
                    seed=sampling.seed_of(job),
                )
                for job in batch
            ]
            completions = generate(self._model, requests, self._eos_ids, self._pad_id)
            yield [
                (job, Response(completion.token_ids, completion.token_ids[-1] in self._eos_ids))
                for job, completion in zip(batch, completions, strict=True)
                if job not in done
            ]

    def close(self) -> None:
        """Let go of the model."""
        self._model = None
        free_memory()
