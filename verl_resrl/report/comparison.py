# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Runs -> everything that the page shows: tables, statistics and notes, and the numbers for ``comparison.json``."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import metadata
from typing import Any

import pandas as pd

from verl_resrl.evaluation.settings import with_defaults
from verl_resrl.report.differing_settings import differing_settings
from verl_resrl.report.displacement import lld_correlations
from verl_resrl.report.evaluation_charts import above_one, sources_of
from verl_resrl.report.matched import matched_differences
from verl_resrl.report.paired import paired_differences
from verl_resrl.report.results import results_table
from verl_resrl.report.run_folders import Run
from verl_resrl.report.tables import (
    OVERALL,
    common_ks,
    evaluation_table,
    last_steps,
    pass_table,
    problem_table,
    training_table,
)
from verl_resrl.runs.files import flat

PACKAGE = "verl_resrl"
EQUAL_SETTINGS = {  # of evaluations, by their names in settings.json
    "temperature": "the temperature",
    "top_p": "top_p",
    "max_tokens": "the longest response",
    "threshold": "the score above which a response is right",
    "reward_name": "the name of the reward function",
    "fingerprints.reward_file": "the reward file (fingerprints)",
    "fingerprints.verifier": "the versions of what the reward may use",
    "reward_kwargs": "further arguments of the reward function",
    "chat_template_kwargs": "arguments of the chat template",
    "backend": "what generated the responses",
    "dtype": "the precision in which they were generated",
}


@dataclass(frozen=True)
class Comparison:
    """All tables and statistics of the compared runs.

    Attributes:
        baseline: name of a method; there may be no run of it.
        methods: names, the baseline first.
        training: of ``tables.training_table``.
        evaluations: of ``tables.evaluation_table``.
        passes: of ``tables.pass_table``.
        ks: that all evaluations have.
        sources: data sources, "overall" first.
        numbers: what ``comparison.json`` holds; its ``notes`` say what is missing or unequal, one sentence each.
    """

    baseline: str
    methods: tuple[str, ...]
    training: pd.DataFrame
    evaluations: pd.DataFrame
    passes: pd.DataFrame
    ks: tuple[int, ...]
    sources: tuple[str, ...]
    numbers: dict[str, Any]


def compare_runs(runs: Sequence[Run], baseline: str, progress: Callable[[int, int, str], None]) -> Comparison:
    """Arrange and compare.

    Args:
        runs: all of them.
        baseline: name of the method that the others are compared with.
        progress: called with files of samples read, files in all and the one to be read.

    Raises:
        RunError: samples are broken, or evaluations cannot be compared.
    """
    training, evaluations, passes = training_table(runs), evaluation_table(runs), pass_table(runs)
    ks, left_out = common_ks(passes)
    sources = sources_of(evaluations)
    problems, sample_notes = problem_table(runs, progress)
    notes = [note for run in runs for note in run.notes] + sample_notes
    if left_out:
        notes.append(f"Not every evaluation has k={', '.join(map(str, left_out))}: left out.")
    notes += _unequal(evaluations) + _sampled_differently(runs)
    has_baseline = any(run.method == baseline for run in runs)
    if not has_baseline:
        notes.append(f"There is no run of the baseline {baseline}, so there are no differences to it: see --baseline.")
    matched = (
        matched_differences(evaluations, passes, problems, baseline, above_one(ks), sources) if has_baseline else []
    )
    paired = paired_differences(_final(evaluations, problems), baseline, ks, sources) if has_baseline else []
    settings, of_seed = differing_settings(runs)
    numbers = {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "versions": {name: version(name) for name in (PACKAGE, "numpy", "pandas", "scipy", "plotly")},
        "baseline": baseline,
        "ks": ks,
        "runs": [_run_row(run) for run in runs],
        "notes": notes,
        "results": results_table(evaluations, passes, ks, sources),
        "paired_differences": paired,
        "matched_differences": matched,
        "frontier": _frontier_rows(evaluations, passes, ks),
        "lld_rank_correlations": lld_correlations(training),
        "settings": settings,
        "settings_of_the_seed": of_seed,
    }
    methods = sorted({run.method for run in runs}, key=lambda method: (method != baseline, method))
    return Comparison(
        baseline,
        tuple(methods),
        training,
        evaluations,
        passes,
        tuple(ks),
        tuple(sources),
        without_nan(numbers),
    )


def version(name: str) -> str:
    """The installed version of a package."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed as a package"


def without_nan(value: Any) -> Any:
    """Replace numbers that are not finite by None: JSON has no word for them."""
    if isinstance(value, dict):
        return {str(name): without_nan(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _final(evaluations: pd.DataFrame, problems: pd.DataFrame) -> pd.DataFrame:
    """Counts of the last evaluated checkpoint after the start; none for a run whose last one has no samples."""
    last = last_steps(evaluations[evaluations["step"] > 0])
    return problems.merge(last[["method", "seed", "step"]].drop_duplicates(), on=["method", "seed", "step"])


def _run_row(run: Run) -> dict[str, Any]:
    return {
        "folder": run.folder.resolve().name,
        "method": run.method,
        "seed": run.seed,
        "training_steps": max(run.metrics, default=0),
        "evaluated_steps": [evaluation.step for evaluation in run.evaluations],
        "origin": run.origin,
    }


def _frontier_rows(evaluations: pd.DataFrame, passes: pd.DataFrame, ks: Sequence[int]) -> list[dict[str, Any]]:
    columns = ["method", "seed", "step", "source"]
    wide = passes[passes["k"].isin(ks)].pivot(index=columns, columns="k", values="mean")
    avg = evaluations.set_index(columns)["avg"]
    return [
        dict(zip(columns, index, strict=True))
        | {"avg": float(avg[index]), "pass_at_k": {str(k): float(value) for k, value in row.items()}}
        for index, row in wide.iterrows()
    ]


def _sampled_differently(runs: Sequence[Run]) -> list[str]:
    """Settings of evaluations that must be equal for their numbers to be compared, and are not."""
    notes = []
    given = [with_defaults(evaluation.settings) for run in runs for evaluation in run.evaluations]
    settings = [one | dict(flat(one)) for one in given]
    for name, what in EQUAL_SETTINGS.items():
        values = sorted({str(one[name]) for one in settings if name in one})
        if len(values) > 1:
            notes.append(f"Evaluations differ in {what}: {', '.join(values)}. Differences may come from that.")
    return notes


def _unequal(evaluations: pd.DataFrame) -> list[str]:
    """What differs between evaluations and should not."""
    notes = []
    overall = evaluations[evaluations["source"] == OVERALL]
    for column, what in (("num_problems", "problems"), ("num_samples", "samples a problem")):
        counts = sorted(set(overall[column]))
        if len(counts) > 1:
            notes.append(f"Evaluations differ in the number of {what}: {', '.join(map(str, counts))}.")
    last = last_steps(overall)
    steps = sorted(set(last[last["step"] > 0]["step"]))
    if len(steps) > 1:
        notes.append(f"The last evaluated steps differ between runs: {', '.join(map(str, steps))}.")
    return notes
