# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The actor of the rollout "hf": holds a copy of the model and samples for the requests that arrive together."""

import asyncio
import hashlib
import os
import threading
from collections import Counter
from dataclasses import dataclass
from typing import Any

import ray
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM
from verl.utils.config import omega_conf_to_dataclass
from verl.workers.rollout.replica import TokenOutput

from verl_resrl.cpu.attention import share_keys
from verl_resrl.cpu.generate import Completion, Request, generate
from verl_resrl.cpu.memory import return_memory
from verl_resrl.cpu.process import use_all_cores

QUIET_SECONDS = 0.05  # requests of a step come in a burst; it is over when none arrived for so long
_PRECISION = {"fp32": "float32", "bf16": "bfloat16"}


@dataclass
class Waiting:
    """A request and the future of its answer: the completion and the step of the weights that made it."""

    request: Request
    answer: "asyncio.Future[tuple[Completion, int | None]]"


class HFServer:
    """Samples completions for verl's agent loops.

    A sample depends on (seed, step, prompt, how often this server was asked for it before in this step, server) and on
    nothing else, so that a run with one server repeats exactly although requests arrive in any order. With several,
    verl draws the server of each request at random; actor_rollout_ref.rollout.full_determinism=True repeats exactly,
    and sends all of them to the same one. Where verl's asynchronous trainers abort requests, a client sends what it has
    as a longer prompt, and the sample depends on when that happened, too.
    """

    def __init__(self, config: Any, model_config: Any, replica_rank: int) -> None:
        use_all_cores()
        self._config = config
        self._replica_rank = replica_rank
        model_config = omega_conf_to_dataclass(model_config)
        self._model = AutoModelForCausalLM.from_pretrained(
            model_config.local_path,
            dtype=getattr(torch, _PRECISION.get(config.dtype, config.dtype)),
            attn_implementation="sdpa",
            trust_remote_code=model_config.trust_remote_code,
        ).eval()
        share_keys(self._model)
        tokenizer = model_config.tokenizer
        eos = getattr(model_config.generation_config, "eos_token_id", None)
        self._eos_ids = {*(eos if isinstance(eos, list) else [eos]), tokenizer.eos_token_id} - {None}
        self._pad_id = tokenizer.pad_token_id or 0
        self._global_steps: int | None = None
        self._asked: Counter[tuple[int, ...]] = Counter()
        self._waiting: list[Waiting] = []
        self._arrived, self._open, self._idle = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._open.set()
        self._idle.set()
        self._abort = threading.Event()  # read by the thread that generates
        self._rejecting = False
        self._loop: asyncio.Task[None] | None = None

    async def get_address(self) -> str:
        """Return a name for verl's load balancer."""
        return f"{ray.util.get_node_ip_address()}:{os.getpid()}"

    async def generate(
        self, request_id: str, *, prompt_ids: list[int], sampling_params: dict[str, Any], **_: Any
    ) -> TokenOutput:
        """Sample one completion; see ``LLMServerClient.generate`` in verl."""
        if self._loop is None:
            self._loop = asyncio.create_task(self._serve())
        if self._rejecting:
            return _token_output(_NOTHING, None, sampling_params)
        waiting = Waiting(self._request(prompt_ids, sampling_params), asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._arrived.set()
        return _token_output(*await waiting.answer, sampling_params)

    def _request(self, prompt_ids: list[int], params: dict[str, Any]) -> Request:
        prompt = tuple(int(token) for token in prompt_ids)
        identity: tuple[Any, ...] = (self._config.seed, self._global_steps, prompt, self._asked[prompt])
        if self._replica_rank:  # else all servers would answer the same to the same prompt
            identity += (self._replica_rank,)
        self._asked[prompt] += 1
        return Request(
            prompt_ids=prompt,
            max_new_tokens=params.get("max_tokens") or params.get("max_new_tokens") or self._config.response_length,
            temperature=params.get("temperature", 1.0),
            top_k=params.get("top_k", -1),
            top_p=params.get("top_p", 1.0),
            seed=int.from_bytes(hashlib.sha256(repr(identity).encode()).digest()[:7], "big"),
        )

    async def _serve(self) -> None:
        while True:
            await self._arrived.wait()
            limit = self._config.max_num_seqs
            arrived = 0
            while arrived < len(self._waiting) < limit:
                arrived = len(self._waiting)
                await asyncio.sleep(QUIET_SECONDS)
            await self._open.wait()
            # in a fixed order: rounding in a batched forward depends on the row
            self._waiting.sort(key=lambda item: (item.request.prompt_ids, item.request.seed))
            batch, self._waiting = self._waiting[:limit], self._waiting[limit:]
            if not self._waiting:
                self._arrived.clear()
            if batch:
                self._idle.clear()
                await self._answer(batch)
                self._idle.set()

    async def _answer(self, batch: list[Waiting]) -> None:
        requests, step = [item.request for item in batch], self._global_steps
        try:
            completions = await asyncio.to_thread(
                generate, self._model, requests, self._eos_ids, self._pad_id, self._abort.is_set
            )
        except Exception as error:
            for item in batch:
                item.answer.set_exception(error)
            return
        for item, completion in zip(batch, completions, strict=True):
            item.answer.set_result((completion, step))
        await asyncio.to_thread(return_memory)  # the trainer's turn comes next

    async def abort_all_requests(self, reject_request: bool = False) -> None:
        """Answer all requests with what they have got so far, and hold new ones back until ``resume_generation``.

        Args:
            reject_request: answer new ones at once, with nothing: the client then asks another server.
        """
        self._rejecting = reject_request
        self._open.clear()
        self._abort.set()
        held, self._waiting = self._waiting, []
        for item in held:
            item.answer.set_result((_NOTHING, None))
        await self._idle.wait()

    async def resume_generation(self) -> None:
        """Take requests again."""
        self._rejecting = False
        self._abort.clear()
        self._open.set()

    async def update_weights(self, weights: dict[str, Tensor], global_steps: int | None = None) -> None:
        """Load the trainer's weights; completions from now on count as those of ``global_steps``.

        Raises:
            RuntimeError: names do not match those of the model.
        """
        missing, unexpected = self._model.load_state_dict(weights, strict=False)
        tied = set(getattr(self._model, "_tied_weights_keys", None) or ())
        if unexpected or set(missing) - tied:
            raise RuntimeError(f"weights do not fit the rollout's model: missing {missing}, unexpected {unexpected}")
        self._global_steps = global_steps
        self._asked.clear()

    async def nothing(self, *args: Any, **kwargs: Any) -> None:
        """Weights and cache stay where they are: there is nothing to free or to wake."""

    wake_up = sleep = clear_kv_cache = release_kv_cache = resume_kv_cache = start_profile = stop_profile = nothing


_NOTHING = Completion([], [], finished=False)


def _token_output(completion: Completion, step: int | None, params: dict[str, Any]) -> TokenOutput:
    return TokenOutput(
        token_ids=completion.token_ids,
        log_probs=completion.log_probs if params.get("logprobs") else None,
        stop_reason="completed" if completion.finished else "aborted",
        extra_fields={"global_steps": step},
    )
