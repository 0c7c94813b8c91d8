# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Rows of verl's parquet files, written whole or not at all."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def agent_row(
    source: str, messages: Sequence[Mapping[str, str]], task: Mapping[str, Any], answer: Any, index: int, split: str
) -> dict[str, Any]:
    """Make one row.

    Args:
        source: benchmark, by which verl groups its validation metrics.
        messages: the first messages of the conversation, each with role and content.
        task: what the agent loop needs to set up the task; JSON, because its keys differ from task to task.
        answer: reference solution, JSON.
        index: number of the row.
        split: "train" or "test".

    Returns:
        Row with the columns that verl reads.
    """
    return {
        "data_source": source,
        "prompt": [dict(message) for message in messages],
        "reward_model": {"style": "rule", "ground_truth": json.dumps(answer)},
        "extra_info": {"index": index, "split": split, "task": json.dumps(task)},
    }


def read_task(row: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    """Read task and answer of a row back.

    Args:
        row: what verl passes to an agent loop.

    Returns:
        Task and reference solution, as they were given to ``agent_row``.

    Raises:
        ValueError: the row was not made by ``agent_row``.
    """
    try:
        return json.loads(row["extra_info"]["task"]), json.loads(row["reward_model"]["ground_truth"])
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"a row of {row.get('data_source')!r} has no task in extra_info.task ({type(error).__name__}: {error}): "
            "prepare the data again with this version of verl_resrl"
        ) from None


def write_rows(rows: Sequence[Mapping[str, Any]], file: Path) -> None:
    """Write rows to a parquet file that appears whole or not at all.

    Args:
        rows: such as those of ``agent_row``, at least one.
        file: where to; its folder is created.

    Raises:
        ValueError: there are no rows.
    """
    if not rows:
        raise ValueError(f"nothing to write to {file}: the split has no tasks")
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(file.name + ".tmp")
    pq.write_table(pa.Table.from_pylist(list(rows)), unfinished)
    os.replace(unfinished, file)
