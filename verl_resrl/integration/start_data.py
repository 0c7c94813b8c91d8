# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The data files of a run, looked at before it starts: what verl would find out in the middle of training."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from omegaconf import DictConfig, OmegaConf
from verl.utils.import_utils import load_extern_object

COLUMNS = ("data_source", "reward_model")  # beside the prompt, whose name is a setting
LENGTH_SCALED = ("resrl_length", "LengthScaledRewardManager")  # by registry, and by import
FILES = ("train_files", "val_files")


class StartError(ValueError):
    """Something that would fail later; the message is one line that says where, what, and what to do."""


def check_files(config: DictConfig) -> None:
    """Look at the columns, and at every row's split and ground truth as far as the reward asks for them.

    Files that are not here, and data sets of a class of the user's, are left to verl.

    Args:
        config: verl's, composed.

    Raises:
        StartError: a column, a split or a ground truth is not what the reward can use.
    """
    if OmegaConf.select(config, "data.custom_cls.path") is not None:
        return
    needs_split = OmegaConf.select(config, "reward.reward_manager.name") in LENGTH_SCALED
    check_gold = _check_of_the_reward(config)
    for path in files_here(config):
        columns = pq.read_schema(path).names
        for column in (config.data.get("prompt_key", "prompt"), *COLUMNS):
            if column not in columns:
                raise StartError(f"{path}: column {column!r} is missing, it has {', '.join(columns)}")
        if needs_split:
            _check_split(path)
        if check_gold is not None:
            _check_ground_truths(path, check_gold)


def files_here(config: DictConfig) -> Iterator[Path]:
    """The parquet files of training and validation that are on this machine.

    Args:
        config: verl's, composed.
    """
    for name in FILES:
        files = config.data.get(name) or []
        for file in [files] if isinstance(files, str) else files:
            path = Path(str(file)).expanduser()
            if path.suffix == ".parquet" and path.is_file():
                yield path


def _check_of_the_reward(config: DictConfig) -> Callable[[Any], Any] | None:
    """``check_ground_truth`` of the module of the reward function, if it has one."""
    path = OmegaConf.select(config, "reward.custom_reward_function.path")
    if not path:
        return None
    try:
        check: Any = load_extern_object(path, "check_ground_truth")
    except Exception:  # there is none, or the module is broken, which verl will say
        return None
    return check


def _check_split(path: Path) -> None:
    advice = "the length-scaled reward needs it in every row: 'train', or anything else where scores stay as they are"
    rows = _values(path, "extra_info", "split")
    for number, split in enumerate(rows, start=1):
        if split is None:
            raise StartError(f"{path} row {number}: extra_info.split is missing; {advice}")


def _check_ground_truths(path: Path, check: Callable[[Any], Any]) -> None:
    for number, gold in enumerate(_values(path, "reward_model", "ground_truth"), start=1):
        try:
            check(gold)
        except ValueError as error:
            raise StartError(f"{path} row {number}: {error}") from None


def _values(path: Path, column: str, field: str) -> Iterator[Any]:
    """One field of a column of dictionaries, row by row; None where it is not there."""
    if column not in pq.read_schema(path).names:
        yield from [None] * pq.read_metadata(path).num_rows
        return
    for batch in pq.ParquetFile(path).iter_batches(columns=[column]):
        for value in batch.column(column).to_pylist():
            yield value.get(field) if isinstance(value, dict) else None
