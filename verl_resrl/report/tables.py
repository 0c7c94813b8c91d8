# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Runs -> pandas tables, one row for each thing that was measured."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from verl_resrl.report.run_folders import Run
from verl_resrl.report.samples import DATED, problem_counts
from verl_resrl.runs.files import RunError

OVERALL = "overall"
RUN_COLUMNS = {"method": str, "seed": int, "step": int}
PROBLEM_COLUMNS = RUN_COLUMNS | {
    "problem": int,
    "data_source": str,
    "prompt": str,
    "num_samples": int,
    "num_correct": int,
    "mean_length": float,
}


def training_table(runs: Sequence[Run]) -> pd.DataFrame:
    """Lay out the training logs.

    Returns:
        Columns ``method, seed, step, metric, value``.
    """
    rows = [
        (run.method, run.seed, step, metric, value)
        for run in runs
        for step, values in run.metrics.items()
        for metric, value in values.items()
    ]
    return pd.DataFrame(rows, columns=[*RUN_COLUMNS, "metric", "value"]).astype(RUN_COLUMNS)


def evaluation_table(runs: Sequence[Run]) -> pd.DataFrame:
    """Lay out what summaries say beside Pass@k.

    Returns:
        Columns ``method, seed, step, source, num_problems, num_samples, avg, avg_low, avg_high, majority_vote,
        mean_length, distinct_correct, self_bleu``; NaN where a summary does not say. ``source`` is "overall" or, where
        there are several, a data source.
    """
    rows = []
    for method, seed, step, source, part in _summaries(runs):
        avg, majority = part["avg_at_n"], part.get("majority_vote")
        rows.append(
            {"method": method, "seed": seed, "step": step, "source": source}
            | {"num_problems": part["num_problems"], "num_samples": part["num_samples"]}
            | {"avg": avg["mean"], "avg_low": avg["low"], "avg_high": avg["high"]}
            | {"majority_vote": majority.get("mean") if isinstance(majority, dict) else majority}
            | {name: part.get(name) for name in ("mean_length", "distinct_correct", "self_bleu")}
        )
    columns = ["method", "seed", "step", "source", "num_problems", "num_samples", "avg", "avg_low", "avg_high"]
    measures = ["majority_vote", "mean_length", "distinct_correct", "self_bleu"]
    table = pd.DataFrame(rows, columns=[*columns, *measures])
    return table.astype(RUN_COLUMNS | dict.fromkeys(measures, float))


def pass_table(runs: Sequence[Run]) -> pd.DataFrame:
    """Lay out Pass@k.

    Returns:
        Columns ``method, seed, step, source, k, mean, low, high``; low and high bound a 95% interval over problems.
    """
    rows = [
        (method, seed, step, source, int(k), share["mean"], share["low"], share["high"])
        for method, seed, step, source, part in _summaries(runs)
        for k, share in part["pass_at_k"].items()
    ]
    return pd.DataFrame(rows, columns=[*RUN_COLUMNS, "source", "k", "mean", "low", "high"]).astype(RUN_COLUMNS)


def common_ks(passes: pd.DataFrame) -> tuple[list[int], list[int]]:
    """Tell which k every evaluation has, ascending, and which only some have.

    Args:
        passes: of ``pass_table``.

    Raises:
        RunError: there are evaluations, but no k is common to them.
    """
    if passes.empty:
        return [], []
    overall = passes[passes["source"] == OVERALL]
    evaluations = len(overall[["method", "seed", "step"]].drop_duplicates())
    counts = overall.groupby("k").size()
    common = [int(k) for k in counts.index if counts[k] == evaluations]
    if not common:
        raise RunError("the evaluations have no k in common: run `resrl eval` with the same --k for all of them")
    return common, [int(k) for k in counts.index if counts[k] != evaluations]


def problem_table(runs: Sequence[Run], progress: Callable[[int, int, str], None]) -> tuple[pd.DataFrame, list[str]]:
    """Count per problem, over all evaluations that have their samples.

    Args:
        runs: all of them.
        progress: called with files done, files in all and the one to be read.

    Returns:
        Columns ``method, seed, step`` and those of ``samples.problem_counts``; and notes of what is missing.

    Raises:
        RunError: samples are broken, or evaluations are of different problems.
    """
    parts: list[pd.DataFrame] = []
    notes: list[str] = []
    prompts: dict[int, tuple[str, Path]] = {}
    todo = [(run, evaluation) for run in runs for evaluation in run.evaluations]
    for done, (run, evaluation) in enumerate(todo):
        file = evaluation.samples_file
        progress(done, len(todo), f"{run.name}, step {evaluation.step}")
        if not file.is_file():
            notes.append(
                f"{run.name}: step {evaluation.step} has no samples.jsonl, so this checkpoint has no part in p-values."
            )
            continue
        counts = problem_counts(evaluation)
        for problem, prompt in zip(counts["problem"], counts["prompt"], strict=True):
            first, where = prompts.setdefault(problem, (prompt, file))
            if prompt != first:
                raise RunError(
                    f"problem {problem} has one prompt in {where} and another in {file}: "
                    f"evaluate all runs on the same data{DATED}"
                )
        parts.append(counts.assign(method=run.method, seed=run.seed, step=evaluation.step))
    progress(len(todo), len(todo), "")
    if not parts:
        parts = [pd.DataFrame({name: pd.Series(dtype=dtype) for name, dtype in PROBLEM_COLUMNS.items()})]
    return pd.concat(parts, ignore_index=True)[list(PROBLEM_COLUMNS)], notes


def of_source(problems: pd.DataFrame, source: str) -> pd.DataFrame:
    """Select the problems of a data source, or all of them for "overall"."""
    return problems if source == OVERALL else problems[problems["data_source"] == source]


def last_steps(table: pd.DataFrame) -> pd.DataFrame:
    """Select the rows of each run's last evaluated checkpoint."""
    return table[table["step"] == table.groupby(["method", "seed"])["step"].transform("max")]


def _summaries(runs: Sequence[Run]) -> list[tuple[str, int, int, str, dict]]:
    found = []
    for run in runs:
        for evaluation in run.evaluations:
            sources = evaluation.summary["data_sources"]
            parts = {OVERALL: evaluation.summary["overall"]} | (sources if len(sources) > 1 else {})
            found += [(run.method, run.seed, evaluation.step, source, part) for source, part in parts.items()]
    return found
