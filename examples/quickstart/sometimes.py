# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Which problems a model solves now and then: groups of right responses alone, or of wrong ones, teach nothing."""

import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from settings import QuickstartError

from verl_resrl.evaluation.evaluate import SUMMARY_FILE
from verl_resrl.evaluation.samples import SAMPLES_FILE

ATTEMPTS = 8  # responses that say whether a problem is sometimes solved


def keep_sometimes_solved(problems: Path, evaluated: Path, file: Path) -> int:
    """Write the problems of which a part of the responses is right: the others' groups teach nothing.

    Args:
        problems: in verl's format.
        evaluated: folder that ``resrl eval`` wrote for the first of them.
        file: where to.

    Returns:
        How many there are.

    Raises:
        QuickstartError: there are none.
    """
    if not (evaluated / SUMMARY_FILE).exists():
        raise QuickstartError(f"{evaluated} is not a finished evaluation")
    right, samples = Counter[int](), Counter[int]()
    for line in (evaluated / SAMPLES_FILE).read_text(encoding="utf-8").splitlines():
        sample = json.loads(line)
        right[sample["problem"]] += sample["correct"]
        samples[sample["problem"]] += 1
    kept: Sequence[int] = [number for number in sorted(samples) if 0 < right[number] < samples[number]]
    if not kept:
        raise QuickstartError(f"the start solves none or all of {len(samples)} problems each time: nothing to train on")
    unfinished = file.with_name(file.name + ".tmp")
    pq.write_table(pq.read_table(problems).take(pa.array(kept)), unfinished)
    os.replace(unfinished, file)
    return len(kept)
