# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""ALFWorld (Shridhar et al., arXiv 2010.03768): household tasks in text.

python -m verl_resrl.tasks.alfworld --out data/alfworld     # after `pip install alfworld` and `alfworld-download`
"""

import argparse
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from verl_resrl.tasks.rows import agent_row, write_rows
from verl_resrl.tasks.text_environment import INSTRUCTION, Observation

INSTALL = "ALFWorld needs the package alfworld and its games: pip install alfworld && alfworld-download"
SOURCE = "alfworld"
# our file -> ALFWorld's folder: seen are rooms of the training games, unseen are others
SPLITS = {"train": "train", "test_seen": "valid_seen", "test_unseen": "valid_unseen"}


class ALFWorld:
    """A game of ALFWorld; task: {"game": path of a game.tw-pddl file}."""

    def __init__(self) -> None:
        try:
            import textworld
            from alfworld.agents.environment.alfred_tw_env import AlfredDemangler
        except ImportError as error:
            raise ImportError(f"{INSTALL} ({error})") from None
        self._textworld, self._demangler = textworld, AlfredDemangler
        self._env: Any = None

    def reset(self, task: Mapping[str, Any]) -> Observation:
        """Start the game.

        Raises:
            FileNotFoundError: there is no such game.
        """
        game = Path(task["game"])
        if not game.is_file():
            raise FileNotFoundError(f"there is no game {game}: run alfworld-download, or prepare the data again")
        self.close()
        wanted = self._textworld.EnvInfos(won=True, admissible_commands=True)
        self._env = self._textworld.start(str(game), wanted, wrappers=[self._demangler(shuffle=False)])
        state = self._env.reset()
        return Observation(state["feedback"].strip(), tuple(state["admissible_commands"]))

    def step(self, action: str) -> Observation:
        """Type a command; the game answers what it does not know with "Nothing happens."."""
        state, _, done = self._env.step(action)
        won = bool(state["won"])
        actions = tuple(state["admissible_commands"])
        return Observation(state["feedback"].strip(), actions, reward=float(won), done=bool(done), won=won)

    def close(self) -> None:
        """Stop the game."""
        if self._env is not None:
            self._env.close()
            self._env = None


def prepare(out: Path, data: Path | None = None, limit: int | None = None) -> dict[str, Path]:
    """Write a parquet file for each split of ALFWorld's games.

    Args:
        out: folder.
        data: what alfworld-download wrote; by default its own choice, $ALFWORLD_DATA or ~/.cache/alfworld.
        limit: at most so many games of each split.

    Returns:
        The files by split.

    Raises:
        FileNotFoundError: there are no games.
    """
    data = data or Path(os.environ.get("ALFWORLD_DATA", "~/.cache/alfworld"))
    files = {}
    for split, folder in SPLITS.items():
        root = data.expanduser().resolve() / "json_2.1.1" / folder
        games = [game for game in sorted(root.glob("**/game.tw-pddl")) if _playable(game)][:limit]
        if not games:
            raise FileNotFoundError(f"no games in {root}: {INSTALL}")
        message = {"role": "user", "content": INSTRUCTION}
        rows = [
            agent_row(f"{SOURCE}_{split}", [message], {"game": str(g)}, None, i, split) for i, g in enumerate(games)
        ]
        files[split] = out / f"{split}.parquet"
        write_rows(rows, files[split])
    return files


def _playable(game: Path) -> bool:
    """As ALFWorld itself chooses: solvable, and without movable receptacles and sliced objects."""
    if "movable" in str(game) or "Sliced" in str(game):
        return False
    return bool(json.loads(game.read_text(encoding="utf-8")).get("solvable"))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="List ALFWorld's games in verl's parquet files.")
    parser.add_argument("--out", type=Path, required=True, help="folder for the parquet files")
    parser.add_argument("--data", type=Path, help="what alfworld-download wrote (default $ALFWORLD_DATA)")
    parser.add_argument("--limit", type=int, help="at most so many games of each split")
    arguments = parser.parse_args()
    try:
        files = prepare(arguments.out, arguments.data, arguments.limit)
    except OSError as error:
        parser.exit(1, f"error: {error}\n")
    for split, file in files.items():
        print(f"{split}: {file}")


if __name__ == "__main__":
    main()
