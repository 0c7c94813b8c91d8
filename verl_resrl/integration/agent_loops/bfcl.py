# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Agent loop of BFCL multi-turn (``+agent=bfcl``): the benchmark's protocol for models that call functions.

The user speaks; the model calls functions, step by step, and sees what they return; a step without a call ends the
turn, and the user speaks again. The reward is the official checker's verdict on the whole conversation.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from verl.experimental.agent_loop.agent_loop import AgentLoopBase, AgentLoopOutput, register
from verl.experimental.agent_loop.tool_parser import ToolParser
from verl.utils.profiler import simple_timer
from verl.workers.config.rollout import AgentLoopConfig

from verl_resrl.integration.agent_loops.conversation import Conversation, Said
from verl_resrl.tasks.bfcl import INSTALL, Task, write_call
from verl_resrl.tasks.rows import read_task


@dataclass
class BFCLConfig(AgentLoopConfig):
    """Settings of ``actor_rollout_ref.rollout.agent``: verl's, and ours.

    Attributes:
        max_tokens_per_turn: most tokens of one step of the model.

    Raises:
        ValueError: a setting is out of range.
    """

    max_tokens_per_turn: int = 1024

    def __post_init__(self) -> None:
        if self.max_tokens_per_turn < 1:
            raise ValueError(f"rollout.agent.max_tokens_per_turn={self.max_tokens_per_turn} must be 1 or more")


@register("bfcl")
class BFCLAgentLoop(AgentLoopBase):
    """Plays one task of ``verl_resrl.tasks.bfcl_data``."""

    def __init__(self, *args: Any, tools: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        try:
            from bfcl_eval.constants.default_prompts import (
                DEFAULT_USER_PROMPT_FOR_ADDITIONAL_FUNCTION_PROMPTING,
                MAXIMUM_STEP_LIMIT,
            )

            from verl_resrl.tasks.bfcl_simulator import shared_simulator
        except ImportError as error:
            raise ImportError(f"{INSTALL} ({error})") from None
        self._more_functions: str = DEFAULT_USER_PROMPT_FOR_ADDITIONAL_FUNCTION_PROMPTING
        self._max_steps: int = MAXIMUM_STEP_LIMIT
        self._simulator = shared_simulator()
        self._parser = ToolParser.get_tool_parser(self.rollout_config.multi_turn.format, self.tokenizer)

    async def run(self, sampling_params: dict[str, Any], **row: Any) -> AgentLoopOutput:
        """Play a task; see the module's text.

        Args:
            sampling_params: of the rollout.
            **row: of the data.

        Returns:
            The conversation, with reward 1 or 0.
        """
        entry, ground_truth = read_task(row)
        task = Task.from_entry(entry)
        limit = self.rollout_config.agent.max_tokens_per_turn
        talk = Conversation(self, sampling_params, limit, tools=entry["function"])
        turns: list[list[list[str]]] = []
        said = Said([], "")
        for number, messages in enumerate(entry["question"]):
            if number == 0:
                await talk.start(messages)
            elif not await talk.reply(said, self._user_messages(entry, number, messages)):
                break  # out of tokens
            turn, said = await self._play_turn(talk, task, turns)
            if turn is None:
                break
            turns.append(turn)
        with simple_timer("compute_score", talk.metrics):
            verdict = await self._simulator.score(task, turns, ground_truth)
        return talk.output(float(verdict.valid), {"finished": float(len(turns) == len(ground_truth))})

    async def _play_turn(
        self, talk: Conversation, task: Task, earlier: list[list[list[str]]]
    ) -> tuple[list[list[str]] | None, Said]:
        """Let the model call functions until it calls none.

        Returns:
            Calls of each step, or None if it does not come to an end within the limits; and what it said last.
        """
        from verl_resrl.tasks.bfcl_simulator import LimitExceeded

        steps: list[list[str]] = []
        while True:
            said = await talk.generate()
            _, calls = await self._parser.extract_tool_calls(said.tokens)
            if not calls:
                return steps, said
            steps.append([write_call(call.name, call.arguments, task.functions) for call in calls])
            if len(steps) > self._max_steps:
                return None, said
            try:
                with simple_timer("tool_calls", talk.metrics):
                    results = await self._simulator.execute(task, [*earlier, steps])
            except LimitExceeded:
                return None, said
            if not await talk.reply(said, [{"role": "tool", "content": result} for result in results]):
                return None, said

    def _user_messages(
        self, entry: Mapping[str, Any], number: int, messages: list[dict[str, str]]
    ) -> list[dict[str, str]]:
        """The user's messages, or the functions that this turn adds, worded as in the official evaluation."""
        held_back = entry.get("missed_function", {}).get(str(number))
        if held_back is None:
            return messages
        return [{"role": "user", "content": self._more_functions.format(functions=held_back)}]
