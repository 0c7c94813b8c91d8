# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of what the user brings, before minutes are spent on it."""

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from settings import QuickstartError, Settings


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


def check_parquet(name: str, file: Path) -> None:
    """Check that verl can train on a parquet file.

    Args:
        name: the knob that names the file.
        file: what to check.

    Raises:
        QuickstartError: missing, unreadable or empty file, or a column that verl needs is missing or of another kind.
    """
    if not file.is_file():
        raise QuickstartError(f"{name}: {file} does not exist")
    try:
        parquet = pq.ParquetFile(file)
        schema, rows = parquet.schema_arrow, parquet.metadata.num_rows
    except (OSError, pa.ArrowException) as error:
        raise QuickstartError(f"{name}: {file} is not a readable parquet file ({str(error).splitlines()[0]})") from None
    if rows == 0:
        raise QuickstartError(f"{name}: {file} has no rows")
    for column in ("data_source", "prompt", "reward_model"):
        if column not in schema.names:
            have = ", ".join(schema.names)
            raise QuickstartError(f"{name}: {file} has no column {column!r}; its columns are: {have}")
    prompt, reward = schema.field("prompt").type, schema.field("reward_model").type
    messages = pa.types.is_list(prompt) or pa.types.is_large_list(prompt)
    if not messages or not _has_fields(prompt.value_type, "role", "content"):
        raise QuickstartError(f"{name}: column 'prompt' of {file} must be a list of {{role, content}}, it is {prompt}")
    if not _has_fields(reward, "ground_truth"):
        raise QuickstartError(
            f"{name}: column 'reward_model' of {file} must have a field 'ground_truth', it is {reward}"
        )


def check_model(model: str) -> None:
    """Check that a model's folder is one; a name on the hub is left to transformers.

    Raises:
        QuickstartError: neither a folder with a config.json nor a name like ``owner/model``.
    """
    if Path(model).exists():
        if not (Path(model) / "config.json").is_file():
            raise QuickstartError(f"MODEL: {model} has no config.json; it must be a Hugging Face model's folder")
    elif not re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", model):
        raise QuickstartError(f"MODEL: {model} does not exist")


def _has_fields(kind: pa.DataType, *names: str) -> bool:
    return pa.types.is_struct(kind) and all(kind.get_field_index(name) >= 0 for name in names)
