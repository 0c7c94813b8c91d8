# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""A folder as a finished ``resrl eval`` leaves it, with responses of one's own."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from warm_start import character_tokenizer, small_model

from verl_resrl.evaluation.evaluate import SUMMARY_FILE
from verl_resrl.evaluation.samples import SAMPLES_FILE, Sample
from verl_resrl.evaluation.settings import Settings, claim_folder, write_json


def small_model_in(folder: Path) -> Path:
    """The quickstart's small model, random."""
    tokenizer = character_tokenizer()
    small_model(tokenizer, 0).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_finished(
    folder: Path, model: Path, data: Path, responses: Mapping[int, Iterable[tuple[str, bool]]], **settings: Any
) -> Path:
    """Write it.

    Args:
        folder: to write to.
        model: that is said to have written the responses.
        data: parquet file of the problems.
        responses: number of the problem -> responses, and whether they are right.
        **settings: of the evaluation.
    """
    claim_folder(folder, Settings(**{"model": str(model), "data": (str(data),), "n": 16, "k": (1,), **settings}))
    samples = [
        Sample(problem, number, "", "", text, float(right), right, None, len(text) + 1, True)
        for problem, group in responses.items()
        for number, (text, right) in enumerate(group)
    ]
    # as they may come: in any order
    (folder / SAMPLES_FILE).write_text("".join(json.dumps(asdict(sample)) + "\n" for sample in reversed(samples)))
    write_json(folder / SUMMARY_FILE, {})
    return folder
