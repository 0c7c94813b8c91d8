# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Make TextWorld games and verl's parquet of them.

    python -m verl_resrl.tasks.textworld_data --out data/textworld --train 512 --test 64 --quest-length 3

Every game is generated from a seed of its own and checked: its walkthrough must win it. Games that exist already are
kept, so that the same command continues after an interruption.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from verl_resrl.tasks.rows import agent_row, write_rows
from verl_resrl.tasks.text_environment import INSTRUCTION
from verl_resrl.tasks.textworld import INSTALL, TextWorld

SOURCE = "textworld"
TEST_SEEDS = 1_000_000  # training games have seeds below
TRAIN, TEST = 512, 64  # games


@dataclass(frozen=True)
class GameSettings:
    """What the games are like.

    Attributes:
        rooms: in a game.
        objects: in a game.
        quest_length: actions from start to end; the walkthrough may need a few more.

    Raises:
        ValueError: a number is below 1.
    """

    rooms: int = 3
    objects: int = 6
    quest_length: int = 3

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value < 1:
                raise ValueError(f"{name}={value} must be 1 or more")


def prepare(
    out: Path,
    train: int = TRAIN,
    test: int = TEST,
    seed: int = 0,
    settings: GameSettings | None = None,
) -> dict[str, Path]:
    """Make games and write train.parquet and test.parquet.

    Args:
        out: folder; the games go to its folder "games".
        train: number of games to train on.
        test: number of games to evaluate on; none of them is among the others.
        seed: of the first game.
        settings: of the games.

    Returns:
        The files by split.

    Raises:
        ImportError: textworld is not installed.
        ValueError: a number is out of range, or the folder has games of other settings.
        RuntimeError: a game's walkthrough does not win it.
    """
    settings = settings or GameSettings()
    if not 0 <= seed < TEST_SEEDS - train:
        raise ValueError(f"seed={seed} must be between 0 and {TEST_SEEDS - train}")
    games = out.resolve() / "games"
    _claim(games, settings)
    known: dict[str, str] = {}  # what a game looks like -> split in which it is
    files = {}
    for split, count, first in (("train", train, seed), ("test", test, TEST_SEEDS + seed)):
        rows: list[dict[str, Any]] = []
        for game, start, walkthrough in _games(games, first, settings):
            if known.setdefault(start, split) != split:
                continue  # two seeds made the same small game: never on both sides
            message = {"role": "user", "content": INSTRUCTION}
            rows.append(agent_row(SOURCE, [message], {"game": str(game)}, walkthrough, len(rows), split))
            print(f"\r{split}: {len(rows)} of {count} games", end="", flush=True)
            if len(rows) == count:
                break
        print()
        files[split] = out / f"{split}.parquet"
        write_rows(rows, files[split])
    return files


def _claim(games: Path, settings: GameSettings) -> None:
    """Note the settings of a folder's games, and refuse to mix them."""
    note = games / "settings.json"
    if not note.exists():
        games.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps(asdict(settings)) + "\n", encoding="utf-8")
    elif json.loads(note.read_text(encoding="utf-8")) != asdict(settings):
        raise ValueError(f"{games} has games of other settings ({note}): choose another --out")


def _games(folder: Path, first: int, settings: GameSettings) -> Iterator[tuple[Path, str, list[str]]]:
    """Games of the seeds from ``first`` on, with their first observation and walkthrough."""
    for seed in range(first, first + TEST_SEEDS):
        game = folder / f"{seed}.z8"
        if not game.exists():
            _make(game, seed, settings)
        walkthrough = json.loads(game.with_suffix(".json").read_text(encoding="utf-8"))["metadata"]["walkthrough"]
        yield game, play(game, walkthrough), walkthrough


def _make(game: Path, seed: int, settings: GameSettings) -> None:
    try:
        import textworld
    except ImportError as error:
        raise ImportError(f"{INSTALL} ({error})") from None
    with tempfile.TemporaryDirectory(dir=game.parent) as scratch:
        options = textworld.GameOptions()
        options.seeds = seed
        options.nb_rooms, options.nb_objects = settings.rooms, settings.objects
        options.quest_length = settings.quest_length
        options.path = str(Path(scratch) / game.name)
        textworld.make(options)
        for suffix in (".json", ".ni", ".z8"):  # the game itself comes last: if it is there, all of it is
            made = (Path(scratch) / game.name).with_suffix(suffix)
            if made.exists():
                os.replace(made, game.with_suffix(suffix))


def play(game: Path, walkthrough: list[str]) -> str:
    """Win a game by its walkthrough.

    Args:
        game: file.
        walkthrough: its actions.

    Returns:
        The first observation.

    Raises:
        RuntimeError: it does not win.
    """
    env = TextWorld()
    try:
        start = env.reset({"game": str(game)})
        won = False
        for action in walkthrough:
            won = env.step(action).won
    finally:
        env.close()
    if not won:
        raise RuntimeError(f"the walkthrough of {game} does not win it: delete the file and try again")
    return start.text


def main() -> None:
    """Command line."""
    defaults = GameSettings()
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for games, train.parquet and test.parquet")
    parser.add_argument("--train", type=int, default=512, help="games to train on (default %(default)s)")
    parser.add_argument("--test", type=int, default=64, help="games to evaluate on (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the first game (default %(default)s)")
    parser.add_argument("--rooms", type=int, default=defaults.rooms, help="in a game (default %(default)s)")
    parser.add_argument("--objects", type=int, default=defaults.objects, help="in a game (default %(default)s)")
    parser.add_argument(
        "--quest-length", type=int, default=defaults.quest_length, help="actions to the goal (default %(default)s)"
    )
    given: dict[str, Any] = vars(parser.parse_args())
    try:
        settings = GameSettings(given.pop("rooms"), given.pop("objects"), given.pop("quest_length"))
        files = prepare(**given, settings=settings)
    except (ImportError, ValueError, RuntimeError, OSError) as error:
        parser.exit(1, f"error: {error}\n")
    for split, file in files.items():
        print(f"{split}: {file}")


if __name__ == "__main__":
    main()
