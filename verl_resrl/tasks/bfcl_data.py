# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""BFCL multi-turn -> verl's parquet: data of the official package, split by task.

    python -m verl_resrl.tasks.bfcl_data --out data/bfcl

The four categories have 200 tasks each under the same numbers: number 7 of one is a variation of number 7 of the
others. A number goes to one side of the split as a whole, together with the few numbers that share its first message
or the initial state of its APIs.
"""

import argparse
import base64
import hashlib
import importlib.metadata
import json
import os
import random
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

from verl_resrl.tasks.bfcl import CATEGORIES, INSTALL
from verl_resrl.tasks.rows import agent_row, write_rows

TASKS = 200  # in each category
HELD_OUT = 50  # numbers, that is 200 tasks
SOURCE = "bfcl"


def prepare(out: Path, held_out: int = HELD_OUT, seed: int = 0, limit: int | None = None) -> dict[str, Path]:
    """Write train.parquet and test.parquet.

    Args:
        out: folder.
        held_out: how many of the 200 numbers go to test.parquet, about: numbers that belong together stay together.
        seed: of the split.
        limit: at most so many numbers in each file, for a quick look.

    Returns:
        The files by split.

    Raises:
        ImportError: bfcl-eval is not installed.
        ValueError: the package's data is not as it was published, or held_out is out of range.
    """
    if not 0 < held_out < TASKS:
        raise ValueError(f"held_out={held_out} must be between 1 and {TASKS - 1}")
    entries = {category: load_category(category) for category in CATEGORIES}
    base = [entry for entry, _ in entries["multi_turn_base"]]
    numbers = dict(zip(("train", "test"), split_numbers(base, held_out, seed), strict=True))
    files = {}
    for split, chosen in numbers.items():
        pairs = [entries[category][number] for number in chosen[:limit] for category in CATEGORIES]
        rows = [_row(entry, truth, index, split) for index, (entry, truth) in enumerate(pairs)]
        files[split] = out / f"{split}.parquet"
        write_rows(rows, files[split])
    return files


def load_category(category: str) -> list[tuple[dict[str, Any], list[list[str]]]]:
    """Load a category with the official loader.

    Args:
        category: one of ``CATEGORIES``.

    Returns:
        Entry and ground truth of each task, in the order of their numbers.

    Raises:
        ImportError: bfcl-eval is not installed.
        ValueError: a file differs from the published one, or count or ids are not as expected.
    """
    official = _official_loader()
    for name in (f"BFCL_v4_{category}.json", f"possible_answer/BFCL_v4_{category}.json"):
        _verify(f"bfcl_eval/data/{name}")
    entries, answers = official.load_dataset_entry(category), official.load_ground_truth_entry(category)
    expected = [f"{category}_{number}" for number in range(TASKS)]
    for kind, items in (("tasks", entries), ("answers", answers)):
        if [item["id"] for item in items] != expected:
            raise ValueError(f"bfcl-eval: the {kind} of {category} are not numbered 0 to {TASKS - 1}")
    return [(entry, answer["ground_truth"]) for entry, answer in zip(entries, answers, strict=True)]


def split_numbers(entries: Sequence[Mapping[str, Any]], held_out: int, seed: int) -> tuple[list[int], list[int]]:
    """Split the task numbers.

    Args:
        entries: of multi_turn_base, in the order of their numbers.
        held_out: size of the second part, at least; a group that does not fit exactly makes it larger.
        seed: of the split.

    Returns:
        Numbers of the training and of the held-out tasks, each sorted.
    """
    groups: dict[int, list[int]] = {}
    group_of: dict[str, int] = {}
    for number, entry in enumerate(entries):
        keys = [json.dumps(part, sort_keys=True) for part in (entry["initial_config"], entry["question"][0])]
        group = min((group_of[key] for key in keys if key in group_of), default=number)
        for key in keys:
            group_of.setdefault(key, group)
        groups.setdefault(group, []).append(number)
    order = sorted(groups)
    random.Random(seed).shuffle(order)
    test: list[int] = []
    for group in order:
        if len(test) < held_out:
            test += groups[group]
    return sorted(set(range(len(entries))) - set(test)), sorted(test)


def _row(entry: Mapping[str, Any], truth: list[list[str]], index: int, split: str) -> dict[str, Any]:
    category = entry["id"].rsplit("_", 1)[0]
    return agent_row(f"{SOURCE}_{category}", entry["question"][0], entry, truth, index, split)


def _official_loader() -> ModuleType:
    # the module creates folders for results when it is imported: not in the environment's site-packages
    with tempfile.TemporaryDirectory() as scratch, mock.patch.dict(os.environ, BFCL_PROJECT_ROOT=scratch):
        try:
            import bfcl_eval.utils
        except ImportError as error:
            raise ImportError(f"{INSTALL} ({error})") from None
    return bfcl_eval.utils


def _verify(name: str) -> None:
    """Compare a file of the package with the checksum in the package's own record."""
    for file in importlib.metadata.files("bfcl-eval") or ():
        if file.as_posix() == name and file.hash is not None:
            digest = hashlib.new(file.hash.mode, Path(str(file.locate())).read_bytes()).digest()
            if base64.urlsafe_b64encode(digest).decode().rstrip("=") != file.hash.value:
                raise ValueError(f"{name} differs from the published file: install bfcl-eval again")
            return
    raise ValueError(f"the installed bfcl-eval has no {name}: install bfcl-eval 2026.3.23")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for train.parquet and test.parquet")
    parser.add_argument("--held-out", type=int, default=HELD_OUT, help="task numbers to hold out (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the split (default %(default)s)")
    parser.add_argument("--limit", type=int, help="at most so many task numbers in each file")
    arguments = parser.parse_args()
    try:
        files = prepare(arguments.out, arguments.held_out, arguments.seed, arguments.limit)
    except (ImportError, ValueError, OSError) as error:
        parser.exit(1, f"error: {error}\n")
    for split, file in files.items():
        print(f"{split}: {file}")


if __name__ == "__main__":
    main()
