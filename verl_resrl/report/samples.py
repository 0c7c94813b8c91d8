# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Sampled responses -> counts per problem, which is all that the statistics need of them."""

import hashlib
import json
from pathlib import Path

import pandas as pd

from verl_resrl.report.run_folders import Evaluation
from verl_resrl.runs.files import RunError

ROUNDING = 1e-6  # a summary's Avg@n may differ by so much from its samples


def problem_counts(evaluation: Evaluation) -> pd.DataFrame:
    """Count what the samples of one evaluated checkpoint say about each problem.

    Args:
        evaluation: one that has samples.

    Returns:
        A row for each problem, in their order: ``problem`` int, ``data_source`` str, ``prompt`` str (its fingerprint),
        ``num_samples`` int, ``num_correct`` int, ``mean_length`` float (tokens).

    Raises:
        RunError: a line is broken, a sample is there twice, or the samples are not those of the summary.
    """
    file = evaluation.samples_file
    table = _samples(file)
    twice = table.duplicated(["problem", "sample"])
    if twice.any():
        row = table[twice].iloc[0]
        raise RunError(f"{file}: problem {row.problem} has sample {row['sample']} twice; evaluate this step again")
    grouped = table.groupby("problem", sort=True)
    if (grouped["prompt"].nunique() > 1).any():
        raise RunError(f"{file}: one problem number stands for several prompts; evaluate this step again")
    counts = grouped.agg(
        data_source=("data_source", "first"),
        prompt=("prompt", "first"),
        num_samples=("sample", "size"),
        num_correct=("correct", "sum"),
        mean_length=("num_tokens", "mean"),
    ).reset_index()
    counts["num_correct"] = counts["num_correct"].astype(int)
    average = float((counts["num_correct"] / counts["num_samples"]).mean())
    claimed = evaluation.summary["overall"]["avg_at_n"]["mean"]
    if abs(average - claimed) > ROUNDING:
        raise RunError(
            f"{file}: Avg@n of the samples is {average:.6f}, but summary.json says {claimed:.6f}; "
            "evaluate this step again"
        )
    return counts


def _samples(file: Path) -> pd.DataFrame:
    """Read line by line: the responses themselves may not fit into memory."""
    rows = []
    with file.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                row = json.loads(line)
                prompt = hashlib.sha256(row["prompt"].encode()).hexdigest()[:16]
                problem, sample, tokens = int(row["problem"]), int(row["sample"]), int(row["num_tokens"])
                rows.append((problem, sample, str(row["data_source"]), prompt, bool(row["correct"]), tokens))
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise RunError(
                    f"{file} line {number} is not a sample ({error!r}): "
                    "run `resrl eval` again, it writes what is missing"
                ) from None
    if not rows:
        raise RunError(f"{file} is empty, although summary.json is there; evaluate this step again")
    return pd.DataFrame(rows, columns=["problem", "sample", "data_source", "prompt", "correct", "num_tokens"])
