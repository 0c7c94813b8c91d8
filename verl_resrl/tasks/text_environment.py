# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Text environments: what an agent loop needs of one, and how a model's words become an action."""

import importlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

MAX_ACTION_CHARACTERS = 200
INSTRUCTION = (
    "You are playing a text game. After each observation choose one action. Think briefly if you like, then write the "
    "action, or its number in the list of possible actions, between <action> and </action>."
)
# name -> module and class; imported when it is used, because each needs packages of its own
ENVIRONMENTS = {
    "textworld": ("verl_resrl.tasks.textworld", "TextWorld"),
    "alfworld": ("verl_resrl.tasks.alfworld", "ALFWorld"),
    "webshop": ("verl_resrl.tasks.webshop", "WebShop"),
}


@dataclass(frozen=True)
class Observation:
    """What an environment shows after a reset or a step.

    Attributes:
        text: for the model.
        actions: what can be done now; may be incomplete or empty.
        reward: of the step.
        done: whether the episode is over.
        won: whether its goal is reached.
    """

    text: str
    actions: tuple[str, ...] = ()
    reward: float = 0.0
    done: bool = False
    won: bool = False


class TextEnvironment(Protocol):
    """One episode at a time; methods may block. All environments of a process are called from one thread."""

    def reset(self, task: Mapping[str, Any]) -> Observation:
        """Start the episode of a task; what a task holds is up to the environment."""

    def step(self, action: str) -> Observation:
        """Do something. Any text must be survived; what makes no sense is answered with words."""

    def close(self) -> None:
        """Free what the episode holds."""


def make_environment(name: str, settings: Mapping[str, Any]) -> TextEnvironment:
    """Make an environment.

    Args:
        name: one of ``ENVIRONMENTS``.
        settings: keyword arguments of its class.

    Returns:
        The environment, to be reset.

    Raises:
        ImportError: a package that it needs is not installed; the message says which.
        ValueError: there is no such environment.
    """
    if name not in ENVIRONMENTS:
        raise ValueError(f"there is no text environment {name!r}; there are {', '.join(ENVIRONMENTS)}")
    module, class_name = ENVIRONMENTS[name]
    return getattr(importlib.import_module(module), class_name)(**settings)


def render(observation: Observation) -> str:
    """Write an observation and the numbered list of its actions."""
    if not observation.actions:
        return observation.text
    listed = "\n".join(f"{number}. {action}" for number, action in enumerate(observation.actions, 1))
    return f"{observation.text}\n\nPossible actions:\n{listed}"


def read_action(said: str, actions: Sequence[str]) -> str:
    """Find the action in a model's words.

    Args:
        said: the last pair of <action> tags in it counts, or all of it if there is none.
        actions: what can be done now.

    Returns:
        One line of at most ``MAX_ACTION_CHARACTERS``; a number within the list becomes the action of that number.
    """
    tagged = re.findall(r"<action>(.*?)</action>", said, re.DOTALL)
    action = " ".join((tagged[-1] if tagged else said).split())[:MAX_ACTION_CHARACTERS]
    if re.fullmatch("[0-9]{1,4}", action) and 1 <= int(action) <= len(actions):
        return actions[int(action) - 1]
    return action
