# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Agent loop of text environments (``+agent=textworld``, ``alfworld``, ``webshop``).

The environment shows an observation and what can be done; the model answers with an action; and so on until the
episode is over. The reward is 1 if its goal was reached.
"""

import asyncio
import faulthandler
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from verl.experimental.agent_loop.agent_loop import AgentLoopBase, AgentLoopOutput, register
from verl.utils.profiler import simple_timer
from verl.workers.config.rollout import AgentLoopConfig

from verl_resrl.integration.agent_loops.conversation import Conversation
from verl_resrl.tasks.rows import read_task
from verl_resrl.tasks.text_environment import ENVIRONMENTS, TextEnvironment, make_environment, read_action, render

# All episodes of a process share one thread: TextWorld's parser and WebShop's search engine do not survive several.
# Episodes run in parallel in the processes of rollout.agent.num_workers.
_THREAD = ThreadPoolExecutor(max_workers=1, thread_name_prefix="text_environment")
TIME_LIMIT = 1800.0  # seconds of one call; WebShop takes minutes to load
STDERR = 2
Result = TypeVar("Result")


@dataclass
class TextEnvironmentConfig(AgentLoopConfig):
    """Settings of ``actor_rollout_ref.rollout.agent``: verl's, and ours.

    Attributes:
        environment: name of the text environment.
        environment_settings: keyword arguments of its class.
        max_steps: most actions of an episode.
        max_tokens_per_turn: most tokens that the model may use for one action.

    Raises:
        ValueError: a setting is out of range.
    """

    environment: str = "textworld"
    environment_settings: dict[str, Any] = field(default_factory=dict)
    max_steps: int = 30
    max_tokens_per_turn: int = 512

    def __post_init__(self) -> None:
        if self.environment not in ENVIRONMENTS:
            raise ValueError(f"rollout.agent.environment={self.environment!r} is none of {', '.join(ENVIRONMENTS)}")
        for name in ("max_steps", "max_tokens_per_turn"):
            if getattr(self, name) < 1:
                raise ValueError(f"rollout.agent.{name}={getattr(self, name)} must be 1 or more")


@register("text_environment")
class TextEnvironmentLoop(AgentLoopBase):
    """Plays one episode."""

    async def run(self, sampling_params: dict[str, Any], **row: Any) -> AgentLoopOutput:
        """Play an episode; see the module's text.

        Args:
            sampling_params: of the rollout.
            **row: of the data.

        Returns:
            The conversation, with reward 1 or 0.
        """
        settings = self.rollout_config.agent
        talk = Conversation(self, sampling_params, settings.max_tokens_per_turn)
        env = await _in_thread(make_environment, settings.environment, settings.environment_settings)
        try:
            return await self._play(talk, env, row, settings.max_steps)
        finally:
            await _in_thread(env.close)

    async def _play(
        self, talk: Conversation, env: TextEnvironment, row: dict[str, Any], max_steps: int
    ) -> AgentLoopOutput:
        task, _ = read_task(row)
        observation = await _in_thread(env.reset, task)
        *earlier, instruction = row["raw_prompt"]
        content = f"{instruction['content']}\n\n{render(observation)}"
        await talk.start([*earlier, {**instruction, "content": content}])
        total, steps = 0.0, 0
        while True:
            said = await talk.generate()
            with simple_timer("tool_calls", talk.metrics):
                observation = await _in_thread(env.step, read_action(said.text, observation.actions))
            total, steps = total + observation.reward, steps + 1
            if observation.done or steps == max_steps:
                break
            if not await talk.reply(said, [{"role": "user", "content": render(observation)}]):
                break  # out of tokens
        return talk.output(float(observation.won), {"episode_reward": total, "episode_steps": float(steps)})


async def _in_thread(function: Callable[..., Result], *arguments: Any) -> Result:
    return await asyncio.get_running_loop().run_in_executor(_THREAD, _bounded, function, *arguments)


def _bounded(function: Callable[..., Result], *arguments: Any) -> Result:
    """End this process, with a traceback that says where, if it takes too long: nobody can end a thread that hangs."""
    faulthandler.dump_traceback_later(TIME_LIMIT, exit=True, file=STDERR)
    try:
        return function(*arguments)
    finally:
        faulthandler.cancel_dump_traceback_later()
