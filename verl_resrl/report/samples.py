# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Sampled responses -> counts per problem, which is all that the statistics need of them.

The samples of many checkpoints are terabytes, so that their counts are kept beside them, for the next comparison.
"""

import contextlib
import hashlib
import json
import sys
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from verl_resrl.report.run_folders import Evaluation
from verl_resrl.runs.files import RunError

KEPT = "counts.npz"  # beside the samples
ROUNDING = 1e-6  # a summary's Avg@n may differ by so much from its samples


# such as that of Llama 3.2, whose prompts differ from day to day
DATED = " (a chat template that writes today's date needs a fixed one: --chat-template-kwargs '{\"date_string\": ...}')"


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
    state = state_of(file)
    counts = _kept(file, state)
    if counts is None:
        counts = _counted(file)
        keep(counts, file, state)
    average = float((counts["num_correct"] / counts["num_samples"]).mean())
    claimed = evaluation.summary["overall"]["avg_at_n"]["mean"]
    if abs(average - claimed) > ROUNDING:
        raise RunError(
            f"{file}: Avg@n of the samples is {average:.6f}, but summary.json says {claimed:.6f}; "
            "evaluate this step again"
        )
    return counts


def _kept(file: Path, state: list[int]) -> pd.DataFrame | None:
    """What was counted before, if the samples have not been written to since."""
    try:
        with np.load(file.with_name(KEPT), allow_pickle=False) as kept:
            if kept["samples"].tolist() != state:
                return None
            columns: dict[str, Any] = {name: kept[name] for name in kept.files if name != "samples"}
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):  # never written, or not by this version
        return None
    for name in ("data_source", "prompt"):  # the same texts in every checkpoint: one object for each
        columns[name] = [sys.intern(text) for text in columns[name].tolist()]
    return pd.DataFrame(columns)


def state_of(file: Path) -> list[int]:
    """What changes when samples are written: size and time of the last change."""
    return [file.stat().st_size, file.stat().st_mtime_ns]


def keep(counts: pd.DataFrame, file: Path, state: list[int]) -> None:
    """Keep the counts beside the samples.

    Args:
        counts: of ``problem_counts``.
        file: of the samples.
        state: of the file before it was read.
    """
    columns = {name: counts[name].to_numpy() for name in counts}
    columns |= {name: counts[name].to_numpy(dtype=str) for name in ("data_source", "prompt")}
    unfinished = file.with_name(f"{KEPT}.tmp.npz")
    with contextlib.suppress(OSError):  # somebody else's folder: it is counted again the next time
        np.savez_compressed(unfinished, samples=np.array(state), **columns)
        unfinished.replace(file.with_name(KEPT))


def _counted(file: Path) -> pd.DataFrame:
    table = _samples(file)
    twice = table.duplicated(["problem", "sample"])
    if twice.any():
        row = table[twice].iloc[0]
        raise RunError(f"{file}: problem {row.problem} has sample {row['sample']} twice; evaluate this step again")
    grouped = table.groupby("problem", sort=True)
    if (grouped["prompt"].nunique() > 1).any():
        raise RunError(f"{file}: one problem number stands for several prompts; evaluate this step again{DATED}")
    counts = grouped.agg(
        data_source=("data_source", "first"),
        prompt=("prompt", "first"),
        num_samples=("sample", "size"),
        num_correct=("correct", "sum"),
        mean_length=("num_tokens", "mean"),
    ).reset_index()
    counts["num_correct"] = counts["num_correct"].astype(int)
    return counts


def _samples(file: Path) -> pd.DataFrame:
    """Read line by line: the responses themselves may not fit into memory."""
    rows = []
    prompts: dict[str, str] = {}  # hashed once, not for each sample
    with file.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                row = json.loads(line)
                prompt = prompts.get(row["prompt"]) or hashlib.sha256(row["prompt"].encode()).hexdigest()[:16]
                prompts[row["prompt"]] = prompt
                problem, sample, tokens = int(row["problem"]), int(row["sample"]), int(row["num_tokens"])
                source = sys.intern(str(row["data_source"]))
                rows.append((problem, sample, source, prompt, bool(row["correct"]), tokens))
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise RunError(
                    f"{file} line {number} is not a sample ({error!r}): "
                    "run `resrl eval` again, it writes what is missing"
                ) from None
    if not rows:
        raise RunError(f"{file} is empty, although summary.json is there; evaluate this step again")
    return pd.DataFrame(rows, columns=["problem", "sample", "data_source", "prompt", "correct", "num_tokens"])
