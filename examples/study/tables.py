# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Numbers of the reports -> tables in Markdown, for documents."""

from collections.abc import Mapping, Sequence
from typing import Any

from verl_resrl.report.matched import coverage

MATCHED_KS = (16, 64)
STEPS = {"right": "right", "wrong": "wrong", "gap": "right minus wrong"}  # of the mechanism test, and their titles
AVG = "Avg@n"
MEASURES = (AVG, "Pass@4", "Pass@16", "Pass@64", "distinct_correct")


def results_table(numbers: Mapping[str, Any], order: Sequence[str]) -> str:
    """Start and last checkpoint of each method, and Pass@k where it has the Avg of the baseline's path.

    Args:
        numbers: of ``comparison.json``.
        order: methods, as the rows shall stand.

    Returns:
        A table; means over seeds, and for differences the 95% interval over problems, in how many of the compared seeds
        they are above 0, and why the others could not be compared.
    """
    rows = {
        (row["checkpoint"], row["method"]): row["measures"] for row in numbers["results"] if row["source"] == "overall"
    }
    matched = {(row["method"], row["k"]): row for row in numbers["matched_differences"] if row["source"] == "overall"}
    baseline = numbers["baseline"]
    head = ["", *(name.replace("_", " ") for name in MEASURES)]
    head += [f"Pass@{k} at {baseline}'s Avg" for k in MATCHED_KS]
    start = next(measures for (checkpoint, _), measures in rows.items() if checkpoint == "start")
    lines = [["start", *_values(start), *[""] * len(MATCHED_KS)]]
    for method in order:
        if ("last", method) in rows:
            differences = [_difference(matched.get((method, k)), baseline) for k in MATCHED_KS]
            lines.append([method, *_values(rows["last", method]), *differences])
    return _markdown(head, lines)


def paired_table(numbers: Mapping[str, Any], order: Sequence[str]) -> str:
    """Avg of the last checkpoints against that of the baseline, problem by problem.

    Args:
        numbers: of ``comparison.json``.
        order: methods, as the rows shall stand.

    Returns:
        A table; the mean over seeds with its 95% interval over problems, the p-value after Holm's correction over the
        methods, and the difference under each seed.
    """
    rows = {
        row["method"]: row
        for row in numbers["paired_differences"]
        if row["source"] == "overall" and row["measure"] == AVG
    }
    head = ["", f"{AVG} minus {numbers['baseline']}'s", "p, after Holm", "by seed"]
    lines = []
    for method, row in ((method, rows[method]) for method in order if method in rows):
        difference = f"{row['difference']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"
        lines.append(
            [method, difference, f"{row['p_holm']:.3f}", ", ".join(f"{x:+.3f}" for x in row["seeds"].values())]
        )
    return _markdown(head, lines)


def localisation_table(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Areas under the curve of each weighting, for each model whose responses were looked at.

    Args:
        found: model -> weighting -> fields of ``Localisation``.
    """
    head = ["weighting", *(f"first, {model}" for model in found), *(f"after, {model}" for model in found)]
    names = list(next(iter(found.values())))
    lines = [
        [name]
        + [f"{areas[name]['first_auc']:.2f}" for areas in found.values()]
        + [f"{areas[name]['after_auc']:.2f}" for areas in found.values()]
        for name in names
    ]
    return _markdown(head, lines)


def displacement_table(numbers: Mapping[str, Any]) -> str:
    """Predicted and measured displacement of the runs that logged it, a seed after the other in each cell.

    Args:
        numbers: of ``comparison.json``.
    """
    methods: dict[str, list[Mapping[str, Any]]] = {}
    for row in numbers["lld_rank_correlations"]:
        methods.setdefault(row["method"], []).append(row)
    columns = {
        "measured": ("measured change", 4),
        "predicted": ("predicted", 1),
        "predicted_over_steps": ("prediction over steps", 2),
        "over_steps": ("alignment over steps", 2),
    }
    lines = [
        [method, *(", ".join(_signed(row[name], digits) for row in rows) for name, (_, digits) in columns.items())]
        for method, rows in methods.items()
    ]
    return _markdown(["", *(title for title, _ in columns.values())], lines)


def mechanism_table(seeds: Sequence[Mapping[str, Any]]) -> str:
    """What one step under each weighting does, over seeds.

    Args:
        seeds: what ``mechanism.py`` wrote under each.

    Returns:
        A table; means over seeds, and the lowest and highest end of the seeds' intervals over groups.
    """
    lines = [[name, *_steps([seed["weightings"][name] for seed in seeds])] for name in seeds[0]["weightings"]]
    return _markdown(["weighting", "groups", *STEPS.values()], lines)


def mechanism_settings_table(found: Mapping[str, Mapping[str, Any]], weightings: Sequence[str]) -> str:
    """What one step does under other settings of the weights.

    Args:
        found: setting -> what ``mechanism.py`` wrote with it.
        weightings: which of its rows.

    Returns:
        A table; means and intervals over groups.
    """
    lines = [
        [name, setting, *_steps([result["weightings"][name]])]
        for name in weightings
        for setting, result in found.items()
        if name in result["weightings"]
    ]
    return _markdown(["weighting", "setting", "groups", *STEPS.values()], lines)


def _steps(of_seeds: Sequence[Mapping[str, Any]]) -> list[str]:
    cells = [str(sum(row["groups"] for row in of_seeds))]
    for column in STEPS:
        means, lows, highs = zip(*(row[column] for row in of_seeds), strict=True)
        cells.append(f"{sum(means) / len(means):+.4f} [{min(lows):+.4f}, {max(highs):+.4f}]")
    return cells


def _signed(number: float | None, digits: int) -> str:
    return "none" if number is None else f"{number:+.{digits}f}"


def _values(measures: Mapping[str, Mapping[str, float]]) -> list[str]:
    return [f"{measures[name]['mean']:.3f}" if name in measures else "" for name in MEASURES]


def _difference(row: Mapping[str, Any] | None, baseline: str) -> str:
    if row is None or row["difference"] is None:
        return f"no common Avg ({coverage(row, baseline)})" if row is not None else ""
    seeds = [seed["difference"] > 0 for seed in row["seeds"].values()]
    uncovered = f" ({coverage(row, baseline)})" if row["uncovered_seeds"] else ""
    return f"{_with_interval(row)}, {sum(seeds)} of {len(seeds)}{uncovered}"


def _with_interval(row: Mapping[str, Any]) -> str:
    interval = "" if row["low"] is None else f" [{row['low']:+.3f}, {row['high']:+.3f}]"
    return f"{row['difference']:+.3f}{interval}"


def _markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"
