# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of what the user brings, before minutes are spent on it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from settings import QuickstartError, Settings

from verl_resrl.evaluation import problems
from verl_resrl.evaluation.settings import EvaluationError


def check_inputs(settings: Settings) -> None:
    """Look at data files, model and reward file.

    Raises:
        QuickstartError: one of them cannot be used; the message names it and says why.
    """
    for name, files in (("TRAIN_FILES", settings.train_files), ("VAL_FILES", settings.val_files)):
        for file in files:
            check_parquet(name, file)
    if settings.model is not None:
        check_model(settings.model)
    if settings.reward_file is not None and not settings.reward_file.is_file():
        raise QuickstartError(f"REWARD_FILE: {settings.reward_file} does not exist")
    if settings.train_files:
        check_reward(settings.reward_file, [*settings.train_files, *settings.val_files])


def check_reward(reward_file: Path | None, files: Sequence[Path]) -> None:
    """Try the reward function on an empty response to one problem of each data source, before hours of training.

    Raises:
        QuickstartError: it fails, or there is none: verl has no reward for the data source.
    """
    from verl_resrl.evaluation.judge import Judge  # imports verl

    rows: dict[str, Any] = {}
    for file in files:
        parquet = pq.ParquetFile(file)
        wanted = [name for name in ("data_source", "reward_model", "extra_info") if name in parquet.schema_arrow.names]
        for batch in parquet.iter_batches(columns=wanted):
            for row in batch.to_pylist():
                rows.setdefault(row["data_source"], row)
    try:
        Judge(reward_file, named_by="REWARD_FILE").judge(list(rows.values()), [""] * len(rows))
    except EvaluationError as error:
        raise QuickstartError(str(error)) from None


def check_parquet(name: str, file: Path) -> None:
    """Check that verl can train on a parquet file.

    Args:
        name: the knob that names the file.
        file: what to check.

    Raises:
        QuickstartError: missing, unreadable or empty file, or a column that verl needs is missing or of another kind.
    """
    with _of_knob(name):
        problems.check_parquet(file)


def check_model(model: str) -> None:
    """Check that a model's folder is one; a name on the hub is left to transformers.

    Raises:
        QuickstartError: neither a folder with configuration and weights nor a name like ``owner/model``.
    """
    with _of_knob("MODEL"):
        problems.check_model(model)


@contextmanager
def _of_knob(name: str) -> Iterator[None]:
    try:
        yield
    except EvaluationError as error:
        raise QuickstartError(f"{name}: {error}") from None
