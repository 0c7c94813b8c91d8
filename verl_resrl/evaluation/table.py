# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The figures of evaluations on a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table

NO_NAMES = "answers have no names: answer_of()"
PASSES_SIDE_BY_SIDE = 3  # with several models there is room for so many Pass@k; the files have all


def summary_tables(summaries: Mapping[str, Mapping[str, Any]]) -> list[Table]:
    """Show the figures overall and, where there are several, of each data source.

    Args:
        summaries: by name of the model, as ``summarize`` returns them; all of the same data. One model gets its
            intervals, several get one row each.
    """
    first = next(iter(summaries.values()))
    parts = {"overall": {name: summary["overall"] for name, summary in summaries.items()}}
    if len(first["data_sources"]) > 1:
        parts |= {
            source: {name: summary["data_sources"][source] for name, summary in summaries.items()}
            for source in first["data_sources"]
        }
    return [_one(title, *rows.values()) if len(rows) == 1 else _several(title, rows) for title, rows in parts.items()]


def _one(title: str, row: Mapping[str, Any]) -> Table:
    table = Table("", "mean", "95% interval", title=_title(title, row), box=box.SIMPLE)
    for name, figure in {
        f"Avg@{row['num_samples']}": row["avg_at_n"],
        **{f"Avg@{n}": figure for n, figure in row.get("avg_at_first", {}).items()},
        **{f"Pass@{k}": figure for k, figure in row["pass_at_k"].items()},
        f"majority of {row['num_samples']}": row["majority_vote"],
    }.items():
        interval = NO_NAMES if figure is None else f"{figure['low']:.3f} to {figure['high']:.3f}"
        table.add_row(name, _mean(figure), interval)
    table.add_row("tokens of a response", f"{row['mean_length']:.1f}")
    table.add_row("distinct right answers", f"{row['distinct_correct']:.2f}")
    table.add_row("self-BLEU", _bleu(row))
    return table


def _several(title: str, rows: Mapping[str, Mapping[str, Any]]) -> Table:
    first = next(iter(rows.values()))
    n, ks = first["num_samples"], _spread([k for k in first["pass_at_k"] if k != "1"])  # Pass@1 is Avg@n
    table = Table(title=_title(title, first), box=box.SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("", overflow="fold", min_width=16)  # rows without a name say nothing
    averages = [f"Avg@{first_n}" for first_n in first.get("avg_at_first", {})]
    for name in (f"Avg@{n}", *averages, *(f"Pass@{k}" for k in ks), f"maj@{n}", "tokens", "distinct"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, row in rows.items():
        averages_of_first = row.get("avg_at_first", {}).values()
        figures = (row["avg_at_n"], *averages_of_first, *(row["pass_at_k"][k] for k in ks), row["majority_vote"])
        lengths = (f"{row['mean_length']:.1f}", f"{row['distinct_correct']:.2f}")
        table.add_row(name, *map(_mean, figures), *lengths)
    return table


def _mean(figure: Mapping[str, float] | None) -> str:
    return "-" if figure is None else f"{figure['mean']:.3f}"


def _title(title: str, row: Mapping[str, Any]) -> str:
    return f"{title}: {row['num_problems']} problems, {row['num_samples']} responses to each"


def _spread(ks: Sequence[str]) -> list[str]:
    """The first, the last, and some between."""
    if len(ks) <= PASSES_SIDE_BY_SIDE:
        return list(ks)
    last = PASSES_SIDE_BY_SIDE - 1
    return [ks[round(i * (len(ks) - 1) / last)] for i in range(PASSES_SIDE_BY_SIDE)]


def _bleu(row: Mapping[str, Any]) -> str:
    return "-" if row["self_bleu"] is None else f"{row['self_bleu']:.3f}"
