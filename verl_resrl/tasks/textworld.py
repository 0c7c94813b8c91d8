# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""TextWorld games (Côté et al., arXiv 1806.11532), made locally by ``textworld_data``."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from verl_resrl.tasks.text_environment import Observation

INSTALL = "TextWorld needs the package textworld: pip install textworld"


class TextWorld:
    """A game of TextWorld; task: {"game": path of a .z8 file}."""

    def __init__(self) -> None:
        try:
            import textworld
        except ImportError as error:
            raise ImportError(f"{INSTALL} ({error})") from None
        self._textworld = textworld
        self._env: Any = None
        self._actions: tuple[str, ...] = ()

    def reset(self, task: Mapping[str, Any]) -> Observation:
        """Start the game; the first observation begins with its objective.

        Raises:
            FileNotFoundError: there is no such game.
        """
        game = Path(task["game"])
        if not game.is_file():
            raise FileNotFoundError(f"there is no game {game}: prepare the data again, or put its folder back")
        self.close()
        wanted = self._textworld.EnvInfos(
            description=True, objective=True, feedback=True, admissible_commands=True, won=True
        )
        self._env = self._textworld.start(str(game), wanted)
        state = self._env.reset()
        text = f"{state['objective'].strip()}\n\n{_tidy(state['description'])}"
        self._actions = tuple(state["admissible_commands"])
        return Observation(text, self._actions)

    def step(self, action: str) -> Observation:
        """Do one of the possible actions; anything else is answered without troubling the interpreter.

        The interpreter is compiled code that crashes on some input and has commands that write files (save, script).
        TextWorld's list of actions is complete, so that nothing is lost.
        """
        known = {possible.lower(): possible for possible in self._actions}
        if action.lower() not in known:
            return Observation(f"You cannot do that: {action}", self._actions)
        state, _, done = self._env.step(known[action.lower()])
        self._actions = tuple(state["admissible_commands"])
        won = bool(state["won"])
        return Observation(_tidy(state["feedback"]), self._actions, reward=float(won), done=bool(done), won=won)

    def close(self) -> None:
        """Stop the game."""
        if self._env is not None:
            self._env.close()
            self._env = None


def _tidy(text: str) -> str:
    """Drop the interpreter's prompt and status line, and blank lines."""
    return re.sub(r"\n\s*\n+", "\n", re.sub(r"\n>.*", "", text, flags=re.DOTALL)).strip()
