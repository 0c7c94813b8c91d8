# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""One conversation between a model and its surroundings, as the token stream that verl trains on.

The prompt is everything up to the model's first token. The response is the rest, in which tokens that the model
generated have mask 1 and all others (users, tools, environments, what the chat template puts between) mask 0: they get
no advantage, and ResRL neither fits its subspaces nor takes its quantiles on them.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import uuid4

from verl.experimental.agent_loop.agent_loop import AgentLoopBase, AgentLoopMetrics, AgentLoopOutput
from verl.utils.profiler import simple_timer

Message = Mapping[str, Any]


class Said(NamedTuple):
    """What the model said in one turn.

    Attributes:
        tokens: as it generated them.
        text: without special tokens.
    """

    tokens: list[int]
    text: str


class Conversation:
    """Tokens of a conversation that grows at its end only.

    Args:
        loop: the agent loop, for its tokenizer and its connection to the rollout.
        sampling_params: of the rollout.
        max_tokens_per_turn: most tokens that the model generates at once.
        tools: functions that the chat template shows to the model.

    Attributes:
        metrics: seconds spent, by the names of verl's ``AgentLoopMetrics``.
    """

    def __init__(
        self,
        loop: AgentLoopBase,
        sampling_params: Mapping[str, Any],
        max_tokens_per_turn: int,
        tools: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self._loop = loop
        self._sampling_params = dict(sampling_params)
        self._max_tokens_per_turn = max_tokens_per_turn
        self._tools: Any = [dict(tool) for tool in tools] or None
        self._request_id = uuid4().hex  # one for all turns: verl sends them to the same server, for its cache
        self._messages: list[dict[str, Any]] = []
        self._token_ids: list[int] = []
        self._mask: list[int] = []
        self._log_probs: list[float] | None = None
        self._extra_fields: dict[str, Any] = {}
        self._turns = 0
        self._cut_off = False
        self.metrics: dict[str, float] = {}

    @property
    def _room(self) -> int:
        """Response tokens that still fit."""
        return self._loop.rollout_config.response_length - len(self._mask)

    async def start(self, messages: Sequence[Message]) -> None:
        """Set the prompt.

        Args:
            messages: not empty.

        Raises:
            ValueError: the prompt has more tokens than fit; cutting it would change the task.
        """
        self._messages = [dict(message) for message in messages]
        builder = self._loop.continuous_token_builder
        self._token_ids = await asyncio.to_thread(builder.build_initial_tokens, self._messages, tools=self._tools)
        limit = self._loop.rollout_config.prompt_length
        if len(self._token_ids) > limit:
            raise ValueError(
                f"a prompt has {len(self._token_ids)} tokens and data.max_prompt_length is {limit}: raise it"
            )
        self._turns = len(messages)

    async def generate(self) -> Said:
        """Let the model speak."""
        params = self._sampling_params | {"max_tokens": min(self._room, self._max_tokens_per_turn)}
        with simple_timer("generate_sequences", self.metrics):
            output = await self._loop.server_manager.generate(
                request_id=self._request_id, prompt_ids=self._token_ids, sampling_params=params
            )
        if output.log_probs and self._log_probs is None:
            self._log_probs = []
        merged, self._mask, self._log_probs = await self._loop.ct_merge_assistant_token(
            self._token_ids,
            output.token_ids,
            self._mask,
            self._log_probs,
            assistant_logprobs=output.log_probs or None,
        )
        self._token_ids = merged.token_ids
        oldest = self._extra_fields.get("min_global_steps", output.extra_fields.get("min_global_steps"))
        self._extra_fields = {**output.extra_fields, "min_global_steps": oldest}  # weights of the first turn
        self._turns += 1
        tokenizer: Any = self._loop.tokenizer
        ended = output.token_ids and output.token_ids[-1] == tokenizer.eos_token_id
        self._cut_off = len(output.token_ids) >= params["max_tokens"] and not ended
        return Said(list(output.token_ids), tokenizer.decode(output.token_ids, skip_special_tokens=True))

    async def reply(self, said: Said, messages: Sequence[Message]) -> bool:
        """Append what the surroundings answer.

        Args:
            said: the model's last turn.
            messages: the answer, at least one.

        Returns:
            Whether it fits and leaves room for the model; if not, the conversation is over and stays as it was.
        """
        before = [*self._messages, {"role": "assistant", "content": said.text}]
        after = [*before, *(dict(message) for message in messages)]
        merged, mask, log_probs = await self._loop.ct_merge_context_msg(
            before, after, *self._ended(), tools=self._tools
        )
        if len(mask) >= self._loop.rollout_config.response_length:
            return False
        self._messages, self._token_ids, self._mask, self._log_probs = after, merged.token_ids, mask, log_probs
        self._cut_off = False
        self._turns += len(messages)
        return True

    def _ended(self) -> tuple[list[int], list[int], list[float] | None]:
        """Tokens, mask and log-probabilities with the end of a turn that was cut off, which nothing learns.

        No template puts a message behind a turn that has no end.
        """
        tokenizer: Any = self._loop.tokenizer
        if not self._cut_off or tokenizer.eos_token_id is None:
            return self._token_ids, self._mask, self._log_probs
        log_probs = None if self._log_probs is None else [*self._log_probs, 0.0]
        return [*self._token_ids, tokenizer.eos_token_id], [*self._mask, 0], log_probs

    def output(self, reward: float, info: Mapping[str, float]) -> AgentLoopOutput:
        """Hand the conversation to verl.

        Args:
            reward: of the whole conversation, in [0, 1].
            info: numbers that verl averages over validation data, the same names for every conversation.

        Returns:
            verl's output.
        """
        start = len(self._token_ids) - len(self._mask)
        return AgentLoopOutput(
            prompt_ids=self._token_ids[:start],
            response_ids=self._token_ids[start:],
            response_mask=self._mask,
            response_logprobs=self._log_probs,
            reward_score=reward,
            num_turns=self._turns,
            metrics=AgentLoopMetrics.model_validate(self.metrics),
            extra_fields={
                **self._extra_fields,
                "turn_scores": [],
                "tool_rewards": [],
                "reward_extra_info": {"acc": reward, **info},
            },
        )
