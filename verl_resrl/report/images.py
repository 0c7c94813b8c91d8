# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""PNG images of the main figures, for documents and for version control."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import pandas as pd

from verl_resrl.report.evaluation_charts import start_and_last
from verl_resrl.report.styles import MATPLOTLIB_DASHES, Style
from verl_resrl.report.tables import OVERALL
from verl_resrl.report.training_charts import LEARNING, over_seeds

matplotlib.use("Agg")  # no display needed
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

DPI = 150


def write_images(
    folder: Path,
    training: pd.DataFrame,
    evaluations: pd.DataFrame,
    passes: pd.DataFrame,
    ks: Sequence[int],
    window: int,
    styles: Mapping[str, Style],
) -> list[Path]:
    """Draw what there is data for.

    Args:
        folder: of the images.
        training: of ``tables.training_table``.
        evaluations: of ``tables.evaluation_table``.
        passes: of ``tables.pass_table``.
        ks: of Pass@k.
        window: steps of the trailing mean that smooths learning curves.
        styles: by method.

    Returns:
        The files, those of ``frontier.png``, ``pass_at_k.png`` and ``learning_curves.png`` that were written.
    """
    figures = {}
    if ks:
        figures["frontier.png"] = _frontier(evaluations, passes, sorted({ks[len(ks) // 2], ks[-1]}), styles)
        figures["pass_at_k.png"] = _pass_curves(passes, ks, styles)
    metrics = [(metric, title) for metric, title, _, _ in LEARNING if (training["metric"] == metric).any()]
    if metrics:
        figures["learning_curves.png"] = _learning_curves(training, metrics, window, styles)
    for name, figure in figures.items():
        figure.savefig(folder / name, dpi=DPI)
        plt.close(figure)
    return [folder / name for name in figures]


def _frontier(
    evaluations: pd.DataFrame, passes: pd.DataFrame, ks: Sequence[int], styles: Mapping[str, Style]
) -> Figure:
    figure, rows = plt.subplots(1, len(ks), figsize=(1.8 + 5.2 * len(ks), 4.8), layout="constrained", squeeze=False)
    points = passes.merge(evaluations, on=["method", "seed", "step", "source"])
    points = points[points["source"] == OVERALL].sort_values("step")
    for axes, k in zip(rows[0], ks, strict=True):
        for method, style in styles.items():
            own = points[(points["method"] == method) & (points["k"] == k)]
            for number, (_, run) in enumerate(own.groupby("seed")):
                line, label = MATPLOTLIB_DASHES[style.dash], method if number == 0 else None
                axes.plot(run["avg"], run["mean"], line, marker=style.marker, ms=4, c=style.colour, lw=1.2, label=label)
                axes.plot(run["avg"].iloc[-1], run["mean"].iloc[-1], style.marker, ms=8, c=style.colour)
                start = run[run["step"] == 0]
                axes.plot(start["avg"], start["mean"], "o", ms=8, mfc="white", mec=style.colour, zorder=1)
        axes.set(xlabel="Avg@n", ylabel=f"Pass@{k}")
        _finish(axes)
    _legend(figure)
    figure.suptitle("Over checkpoints (ring: start, large: last); one line a run")
    return figure


def _pass_curves(passes: pd.DataFrame, ks: Sequence[int], styles: Mapping[str, Style]) -> Figure:
    figure, axes = plt.subplots(figsize=(7.8, 4.8), layout="constrained")
    of_all = passes[(passes["source"] == OVERALL) & passes["k"].isin(ks)]
    for name, method, curve in start_and_last(of_all, styles):
        style = styles[method] if method else Style("#9a9a9a", "dot", "circle-open", "o")
        line = MATPLOTLIB_DASHES["dot" if name != method else style.dash]
        axes.plot(curve.index, curve["mean"], line, marker=style.marker, ms=4, c=style.colour, label=name)
        axes.fill_between(curve.index, curve["low"], curve["high"], color=style.colour, alpha=0.12, lw=0)
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(ks), [str(k) for k in ks])
    axes.set(xlabel="k", ylabel="Pass@k", title="Last checkpoint; band: 95% interval over problems")
    _finish(axes)
    _legend(figure)
    return figure


def _learning_curves(
    training: pd.DataFrame, metrics: Sequence[tuple[str, str]], window: int, styles: Mapping[str, Style]
) -> Figure:
    figure, rows = plt.subplots(
        1, len(metrics), figsize=(1.8 + 4.6 * len(metrics), 4.2), layout="constrained", squeeze=False
    )
    for axes, (metric, title) in zip(rows[0], metrics, strict=True):
        curves = over_seeds(training, metric, window)
        for method in (name for name in styles if name in curves):
            curve, style = curves[method], styles[method]
            axes.plot(curve.index, curve["mean"], MATPLOTLIB_DASHES[style.dash], c=style.colour, label=method)
            axes.fill_between(curve.index, curve["min"], curve["max"], color=style.colour, alpha=0.15, lw=0)
        axes.set(xlabel="step", title=title)
        _finish(axes)
    _legend(figure)
    smoothed = f", mean of {window} steps" if window > 1 else ""
    figure.suptitle(f"Mean over seeds{smoothed}; band: smallest to largest seed")
    return figure


def _finish(axes: Axes) -> None:
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _legend(figure: Figure) -> None:
    """One legend for all axes, outside of them: with many methods it would hide the data."""
    entries = [dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True)) for axes in figure.axes]
    by_label = {label: handle for of_axes in entries for label, handle in of_axes.items()}
    figure.legend(by_label.values(), by_label.keys(), loc="outside right upper", fontsize=8, frameon=False)
