# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Evaluations -> the frontier, the comparison at matched Avg, and Pass@k over k."""

from collections.abc import Mapping, Sequence

import pandas as pd
import plotly.graph_objects as go

from verl_resrl.report.chart import Chart, add_band, empty_figure, key
from verl_resrl.report.matched import paths
from verl_resrl.report.styles import Style
from verl_resrl.report.tables import OVERALL, last_steps
from verl_resrl.statistics.frontier import match

NO_EVALUATIONS = "No run has an evaluation. Run `resrl eval` on the checkpoints of each run."


def evaluation_charts(
    evaluations: pd.DataFrame,
    passes: pd.DataFrame,
    ks: Sequence[int],
    sources: Sequence[str],
    baseline: str,
    styles: Mapping[str, Style],
) -> dict[str, Chart]:
    """Draw all charts of the evaluations.

    Args:
        evaluations: of ``tables.evaluation_table``.
        passes: of ``tables.pass_table``.
        ks: of Pass@k.
        sources: data sources, "overall" first.
        baseline: name of a method.
        styles: by method.

    Returns:
        ``frontier``, ``matched`` and ``pass_at_k``.
    """
    points = passes.merge(evaluations, on=["method", "seed", "step", "source"])
    larger = above_one(ks)
    frontier = {
        key(source, k): _frontier(points[(points["source"] == source) & (points["k"] == k)], k, styles)
        for source in sources
        for k in larger
    }
    matched = {
        key(source, k): _matched(evaluations, passes, source, k, baseline, styles) for source in sources for k in larger
    }
    curves = {key(source): _pass_curves(passes[passes["source"] == source], ks, styles) for source in sources}
    nothing = "" if ks else NO_EVALUATIONS
    no_frontier = nothing or ("" if larger else "Pass@1 is Avg@n: evaluate with a larger k.")
    unmatched = "" if any(figure.data for figure in matched.values()) else _why_unmatched(baseline, styles)
    frontier_chart = Chart(
        "frontier",
        "The frontier: Avg@n against Pass@k over checkpoints",
        "One line a run, one marker a checkpoint, in the order of training; the ring is the start, the large marker "
        "the last checkpoint. Up and to the right is better. A method moves the trade-off outward if its line lies "
        "above the baseline's at the same Avg. Points that lie on the baseline's own line are no gain: the baseline, "
        "stopped earlier, is there too. One picture says nothing about other tasks, sizes or learning rates.",
        ("source", "k"),
        frontier,
        no_frontier,
        wide=True,
    )
    matched_chart = Chart(
        "matched",
        f"Pass@k minus that of {baseline} at the same Avg",
        "One line a seed, over the Avg that both runs cover; between checkpoints, straight lines. Above zero: outside "
        "the baseline's line. Where a run reaches an Avg several times, its first time counts. A short line compares "
        "little: see its ends in the table.",
        ("source", "k"),
        matched,
        no_frontier or unmatched,
        wide=True,
    )
    pass_chart = Chart(
        "pass_at_k",
        "Pass@k of start and last checkpoint",
        "The chance that at least one of k responses is right (unbiased estimate). Means over seeds; the band is the "
        "95% bootstrap interval over problems, averaged over seeds: it says how far other problems could move the "
        "curve, not other seeds. Overlapping bands do not mean no difference, as the problems are the same: see the "
        "paired differences.",
        ("source",),
        curves,
        nothing,
        wide=True,
    )
    return {chart.name: chart for chart in (frontier_chart, matched_chart, pass_chart)}


def _frontier(points: pd.DataFrame, k: int, styles: Mapping[str, Style]) -> go.Figure:
    figure = empty_figure("Avg@n", f"Pass@{k}", height=460)
    for (method, seed), run in _by_style(points, styles):
        run = run.sort_values("step")
        last = run["step"].max()
        style = styles[method]
        figure.add_scatter(
            x=run["avg"],
            y=run["mean"],
            mode="lines+markers",
            name=method,
            legendgroup=method,
            showlegend=False,
            line={"color": style.colour, "dash": style.dash, "width": 1.6},
            marker={
                "symbol": ["circle-open" if step == 0 else style.symbol for step in run["step"]],
                "size": [14 if step == last else 11 if step == 0 else 8 for step in run["step"]],
                "color": style.colour,
                "opacity": 1,
                "line": {"width": [2 if step == 0 else 0 for step in run["step"]], "color": style.colour},
            },
            customdata=run[["step", "low", "high"]],
            hovertemplate=f"{method} seed {seed}, step %{{customdata[0]}}<br>Avg@n %{{x:.3f}}<br>Pass@{k} %{{y:.3f}} "
            "(%{customdata[1]:.3f} to %{customdata[2]:.3f})<extra></extra>",
        )
    for method in styles:
        if (points["method"] == method).any():
            _add_legend(figure, method, styles[method])
    return figure


def _add_legend(figure: go.Figure, method: str, style: Style) -> None:
    """A legend entry of its own: plotly would take the marker of the first point, the ring of the start."""
    figure.add_scatter(
        x=[None],
        y=[None],
        mode="lines+markers",
        name=method,
        legendgroup=method,
        line={"color": style.colour, "dash": style.dash, "width": 1.6},
        marker={"symbol": style.symbol, "size": 9, "color": style.colour},
    )


def _matched(
    evaluations: pd.DataFrame,
    passes: pd.DataFrame,
    source: str,
    k: int,
    baseline: str,
    styles: Mapping[str, Style],
) -> go.Figure:
    figure = empty_figure("Avg@n", f"difference in Pass@{k}", height=340)
    of_runs = paths(evaluations, passes, [k], source)
    shown: set[str] = set()
    for method, seed in sorted(of_runs):
        if method == baseline or (baseline, seed) not in of_runs:
            continue
        found = match(of_runs[method, seed], of_runs[baseline, seed])
        if found is None:
            continue
        figure.add_scatter(
            x=found.levels,
            y=found.difference[:, 0],
            mode="lines",
            name=method,
            legendgroup=method,
            showlegend=method not in shown,
            line={"color": styles[method].colour, "dash": styles[method].dash, "width": 1.8},
            hovertemplate=f"{method} seed {seed}<br>Avg@n %{{x:.3f}}<br>%{{y:+.3f}}<extra></extra>",
        )
        shown.add(method)
    if shown:
        figure.add_hline(y=0, line={"color": styles[baseline].colour, "width": 1.2})
    return figure


def _why_unmatched(baseline: str, styles: Mapping[str, Style]) -> str:
    if baseline not in styles:
        return f"No run of {baseline}: choose another baseline with --baseline."
    return f"No run shares a seed and a range of Avg with {baseline}: evaluate several checkpoints of both."


def above_one(ks: Sequence[int]) -> list[int]:
    """Leave out k = 1, where Pass@k is Avg@n and there is no trade-off."""
    return [k for k in ks if k > 1]


def start_and_last(passes: pd.DataFrame, styles: Mapping[str, Style]) -> list[tuple[str, str | None, pd.DataFrame]]:
    """Average Pass@k over seeds, at the start and at the last checkpoint.

    Args:
        passes: of ``tables.pass_table``, of one source.
        styles: by method, in the order in which to draw.

    Returns:
        For each curve its name, its method (None for a start that all methods share) and a table with index k and
        columns ``mean, low, high``.
    """
    curves: list[tuple[str, str | None, pd.DataFrame]] = []
    columns = ["mean", "low", "high"]
    starts = {
        method: part.groupby("k")[columns].mean() for method, part in passes[passes["step"] == 0].groupby("method")
    }
    shared = len({part.to_csv() for part in starts.values()}) == 1
    if shared:
        curves.append(("start", None, next(iter(starts.values()))))
    last = last_steps(passes)
    last = last[last["step"] > 0]
    for method in styles:
        if method in starts and not shared:
            curves.append((f"{method}, start", method, starts[method]))
        trained = last[last["method"] == method]
        if len(trained):
            curves.append((method, method, trained.groupby("k")[columns].mean()))
    return curves


def _pass_curves(passes: pd.DataFrame, ks: Sequence[int], styles: Mapping[str, Style]) -> go.Figure:
    figure = empty_figure("k", "Pass@k", height=420)
    for name, method, curve in start_and_last(passes[passes["k"].isin(ks)], styles):
        style = styles[method] if method else Style("#9a9a9a", "dot", "circle-open", "o")
        start = name != method
        add_band(figure, curve.index, curve["low"], curve["high"], style.faint(0.12), name)
        figure.add_scatter(
            x=curve.index,
            y=curve["mean"],
            mode="lines+markers",
            name=name,
            legendgroup=name,
            line={"color": style.colour, "dash": "dot" if start else style.dash, "width": 2},
            marker={"symbol": "circle-open" if start else style.symbol, "size": 8},
            customdata=curve[["low", "high"]],
            hovertemplate=f"{name}<br>Pass@%{{x}} %{{y:.3f}} (%{{customdata[0]:.3f}} to %{{customdata[1]:.3f}})"
            "<extra></extra>",
        )
    figure.update_xaxes(type="log", tickvals=list(ks), ticktext=[str(k) for k in ks])
    return figure


def _by_style(points: pd.DataFrame, styles: Mapping[str, Style]) -> list[tuple[tuple[str, int], pd.DataFrame]]:
    groups = {(str(m), int(s)): part for (m, s), part in points.groupby(["method", "seed"])}
    order = list(styles)
    return sorted(groups.items(), key=lambda item: (order.index(item[0][0]), item[0][1]))


def sources_of(evaluations: pd.DataFrame) -> list[str]:
    """Names of the data sources, "overall" first."""
    return [OVERALL, *sorted(set(evaluations["source"]) - {OVERALL})]
