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


def keep_sometimes_solved(evaluated: Path, file: Path) -> int:
    """Write the problems of which a part of the responses is right: the others' groups teach nothing.

    Args:
        evaluated: folder of a finished evaluation.
        file: where to.

    Returns:
        How many there are.

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
    pq.write_table(pa.Table.from_pylist(kept, schema=pq.read_schema(finished.settings.data[0])), unfinished)
    os.replace(unfinished, file)
    return len(kept)
