# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""WebShop (Yao et al., arXiv 2207.01206): buy the product that an instruction asks for.

    python -m verl_resrl.tasks.webshop --out data/webshop --goals 6910

Actions are search[words] and click[what]. The benchmark's own split: goals 0 to 499 are for testing, 500 to 1499 for
development, the rest for training.
"""

import argparse
import functools
import itertools
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from verl_resrl.tasks.rows import agent_row, write_rows
from verl_resrl.tasks.text_environment import INSTRUCTION, Observation

INSTALL = "WebShop is not a package: follow the setup of github.com/princeton-nlp/WebShop and put it on PYTHONPATH"
SOURCE = "webshop"
SEED = 233  # of what the shop draws; it has this one itself, for the order of goals
TEST_GOALS, DEVELOPMENT_END = 500, 1500
HINT = " To look for a product write search[your words] as the action; there is one goal, to buy the right product."

_session = itertools.count()


class WebShop:
    """An episode of WebShop; task: {"goal": number of the goal}.

    All episodes of a process share the products and the search engine, which take minutes and gigabytes to load.

    Args:
        file_path: of the products; by default WebShop's own choice.
        num_products: how many of them to load; by default all of the file.
        human_goals: goals written by people, as in the paper, or made from templates.
    """

    def __init__(self, file_path: str | None = None, num_products: int | None = None, human_goals: bool = True) -> None:
        options: dict[str, Any] = {"num_products": num_products, "human_goals": human_goals}
        if file_path is not None:
            options["file_path"] = file_path
        environment, server = _shared_server(**options)
        prefix = f"verl_resrl_{next(_session)}_"  # the server knows an episode by this and the number of its goal
        self._goals = len(server.goals)
        self._env = environment(observation_mode="text", server=server, session_prefix=prefix, **options)

    def reset(self, task: Mapping[str, Any]) -> Observation:
        """Open the shop with the instruction of a goal.

        Raises:
            ValueError: there is no such goal.
        """
        if not 0 <= int(task["goal"]) < self._goals:
            raise ValueError(
                f"WebShop: goal {task['goal']} of the data, and {self._goals} goals are loaded: prepare the data with "
                f"--goals {self._goals}"
            )
        text, _ = self._env.reset(session=int(task["goal"]))
        return Observation(text, self._actions())

    def step(self, action: str) -> Observation:
        """Search or click; buying ends the episode, and a reward of 1 means it was the right product."""
        try:
            text, reward, done, _ = self._env.step(action)
        except (KeyError, ValueError, IndexError, AssertionError) as error:
            return Observation(f"That did not work ({type(error).__name__}).", self._actions())
        actions = () if done else self._actions()
        return Observation(text, actions, reward=float(reward), done=bool(done), won=bool(done and reward >= 1))

    def close(self) -> None:
        """Nothing to free."""

    def _actions(self) -> tuple[str, ...]:
        # the search box takes any words, so that it is not in the list
        return tuple(f"click[{name}]" for name in self._env.get_available_actions()["clickables"] if name != "search")


@functools.cache
def _shared_server(**options: Any) -> tuple[Any, Any]:
    try:
        from web_agent_site.envs.web_agent_text_env import WebAgentTextEnv
    except ImportError as error:
        raise ImportError(f"{INSTALL} ({error})") from None
    # it draws prices and the bounds of the goals by chance: the same ones in every process and run
    state = random.getstate()
    random.seed(SEED)
    try:
        return WebAgentTextEnv, WebAgentTextEnv(observation_mode="text", **options).server
    finally:
        random.setstate(state)


def prepare(out: Path, goals: int, limit: int | None = None) -> dict[str, Path]:
    """Write train.parquet and test.parquet of WebShop's goals by their numbers.

    Args:
        out: folder.
        goals: how many there are; WebShop prints it when it loads ("Loaded ... goals.").
        limit: at most so many in each file.

    Returns:
        The files by split.

    Raises:
        ValueError: there are too few goals to train on.
    """
    if goals <= DEVELOPMENT_END:
        raise ValueError(f"goals={goals}: training goals begin at {DEVELOPMENT_END}")
    files = {}
    for split, numbers in (("train", range(DEVELOPMENT_END, goals)), ("test", range(TEST_GOALS))):
        message = {"role": "user", "content": INSTRUCTION + HINT}
        rows = [agent_row(SOURCE, [message], {"goal": goal}, None, i, split) for i, goal in enumerate(numbers[:limit])]
        files[split] = out / f"{split}.parquet"
        write_rows(rows, files[split])
    return files


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="List WebShop's goals in verl's parquet files.")
    parser.add_argument("--out", type=Path, required=True, help="folder for train.parquet and test.parquet")
    parser.add_argument("--goals", type=int, required=True, help='how many WebShop has; it prints "Loaded ... goals."')
    parser.add_argument("--limit", type=int, help="at most so many in each file")
    arguments = parser.parse_args()
    try:
        files = prepare(arguments.out, arguments.goals, arguments.limit)
    except (ValueError, OSError) as error:
        parser.exit(1, f"error: {error}\n")
    for split, file in files.items():
        print(f"{split}: {file}")


if __name__ == "__main__":
    main()
