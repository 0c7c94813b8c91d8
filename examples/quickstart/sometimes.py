# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Which problems a model solves now and then: groups of right responses alone, or of wrong ones, teach nothing."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from settings import QuickstartError

from verl_resrl.evaluation.finished import read_finished

ATTEMPTS = 8  # responses that say whether a problem is sometimes solved


def keep_sometimes_solved(evaluated: Path, file: Path) -> None:
    """Write the problems of which a part of the responses is right: the others' groups teach nothing.

    Args:
        evaluated: folder of a finished evaluation.
        file: where to.

    Raises:
        EvaluationError: the evaluation cannot be read.
        QuickstartError: there are none.
    """
    finished = read_finished(evaluated)
    right = {number: [one.correct for one in group] for number, group in finished.groups(ATTEMPTS).items()}
    kept = [finished.problems[number].row for number, found in right.items() if any(found) and not all(found)]
    if not kept:
        raise QuickstartError(f"the start solves none or all of {len(right)} problems each time: nothing to train on")
    unfinished = file.with_name(file.name + ".tmp")
    schema = pa.unify_schemas([pq.read_schema(data) for data in finished.settings.data])
    pq.write_table(pa.Table.from_pylist(kept, schema=schema), unfinished)
    os.replace(unfinished, file)


def num_kept(file: Path, prompts: int) -> int:
    """Count the problems that were kept.

    Args:
        file: of ``keep_sometimes_solved``.
        prompts: of a training step.

    Raises:
        QuickstartError: they are fewer, and verl would have no step.
    """
    kept = pq.read_metadata(file).num_rows
    if kept < prompts:
        raise QuickstartError(f"PROMPTS={prompts}: the start sometimes solves {kept} problems; set PROMPTS lower")
    return kept
