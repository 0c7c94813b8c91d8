# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The figures of evaluations on a terminal, one row for each model."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table


def summary_tables(summaries: Mapping[str, Mapping[str, Any]]) -> list[Table]:
    """Put models side by side, overall and, where there are several, for each data source.

    Args:
        summaries: by name of the model, as ``summarize`` returns them; all of the same data.
    """
    first = next(iter(summaries.values()))
    tables = [_table("overall", {name: summary["overall"] for name, summary in summaries.items()})]
    if len(first["data_sources"]) > 1:
        tables += [
            _table(source, {name: summary["data_sources"][source] for name, summary in summaries.items()})
            for source in first["data_sources"]
        ]
    return tables


def _table(title: str, rows: Mapping[str, Mapping[str, Any]]) -> Table:
    first = next(iter(rows.values()))
    n, problems = first["num_samples"], first["num_problems"]
    table = Table(title=f"{title}: {problems} problems, {n} responses to each, 95% intervals", box=box.SIMPLE)
    table.add_column("")
    for name in rows:
        table.add_column(name, justify="right", overflow="fold")
    table.add_row(f"Avg@{n}", *(_interval(row["avg_at_n"]) for row in rows.values()))
    for k in first["pass_at_k"]:
        table.add_row(f"Pass@{k}", *(_interval(row["pass_at_k"][k]) for row in rows.values()))
    table.add_row(f"majority of {n}", *(_interval(row["majority_vote"]) for row in rows.values()))
    table.add_row("tokens of a response", *(f"{row['mean_length']:.1f}" for row in rows.values()))
    table.add_row("distinct right answers", *(f"{row['distinct_correct']:.2f}" for row in rows.values()))
    table.add_row("self-BLEU", *(_number(row["self_bleu"]) for row in rows.values()))
    return table


def _interval(figure: Mapping[str, float]) -> str:
    return f"{figure['mean']:.3f} ({figure['low']:.3f}-{figure['high']:.3f})"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
