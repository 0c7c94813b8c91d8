# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Data of agents: tasks of environments that are installed on this machine, not rows to download.

WebShop is not among them: it has no list of its goals that could be read without starting it, see ``tasks.webshop``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from verl_resrl.tasks import alfworld, bfcl_data, textworld_data
from verl_resrl.tasks.data.prepare import DataError


@dataclass(frozen=True)
class Environment:
    """Where tasks of an environment come from.

    Attributes:
        name: for the command line, and folder of the files ``train.parquet`` and ``test.parquet``.
        prepare: output folder, local copy or None, limit or None -> files by split.
        problems: how many, in words.
        license: of the data, as its package says; None where that was not looked up.
        source: what has them.
        note: what to know.
        takes_copy: whether ``prepare`` reads a local copy.
    """

    name: str
    prepare: Callable[[Path, Path | None, int | None], dict[str, Path]]
    problems: str
    source: str
    license: str | None = None
    note: str = ""
    takes_copy: bool = False

    def make(self, out: Path, local: Path | None, limit: int | None) -> str:
        """Write the files below ``out``.

        Returns:
            Their paths, one a line.

        Raises:
            DataError: a package is missing, or its data is not as it should be.
        """
        try:
            return "\n".join(map(str, self.prepare(out / self.name, local, limit).values()))
        except (ImportError, ValueError, RuntimeError) as error:
            raise DataError(f"{self.name}: {error}") from error


def _bfcl(out: Path, local: Path | None, limit: int | None) -> dict[str, Path]:
    return bfcl_data.prepare(out, limit=limit)


def _textworld(out: Path, local: Path | None, limit: int | None) -> dict[str, Path]:
    train, test = (
        number if limit is None else min(limit, number) for number in (textworld_data.TRAIN, textworld_data.TEST)
    )
    return textworld_data.prepare(out, train, test)


ENVIRONMENTS = {
    environment.name: environment
    for environment in (
        Environment(
            "bfcl",
            _bfcl,
            "800",
            "the package bfcl-eval, pinned, whose own checksums are verified",
            "apache-2.0",
            "multi-turn; --limit counts task numbers, each of which has four tasks",
        ),
        Environment("textworld", _textworld, "512+64", "made on this machine by the package textworld"),
        Environment(
            "alfworld",
            alfworld.prepare,
            "?",
            "what alfworld-download wrote: --from, or $ALFWORLD_DATA",
            takes_copy=True,
        ),
    )
}
