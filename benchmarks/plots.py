# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Measurements as pictures: bars of the methods for each question, and curves of how they grow."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # no display needed
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.questions import QUESTIONS
from benchmarks.record import Measurement

# metric: title, and factor to the unit in it
METRICS = {
    "seconds": ("time (ms)", 1e3),
    "peak_bytes": ("peak memory (MiB)", 2**-20),
    "bytes_per_second": ("bandwidth (GB/s)", 1e-9),
    "exchange_seconds": ("exchange between ranks (ms)", 1e3),
    "sent_bytes": ("sent by all ranks (MiB)", 2**-20),
    "weight_error_mean": ("mean error of the weights", 1.0),
    "weight_error_max": ("largest error of the weights", 1.0),
}


def write_plots(rows: list[Measurement], folder: Path, device: str) -> list[Path]:
    """Draw a picture of each question that has been measured.

    Args:
        rows: measurements; ratios among them are left out.
        folder: of the pictures ``<device>_<question>.png``.
        device: ``cuda`` or ``cpu``.

    Returns:
        Files written.
    """
    paths = []
    for question in QUESTIONS:
        numbers = [row for row in rows if row.question == question and " / " not in row.method]
        if numbers:
            figure = _curves(numbers) if question == "growth" else _bars(numbers)
            paths.append(folder / f"{device}_{question}.png")
            figure.tight_layout()
            figure.savefig(paths[-1])
            plt.close(figure)
    return paths


def _bars(rows: list[Measurement]) -> Figure:
    """Axes for each metric; in it, bars for each case and method."""
    metrics = [metric for metric in METRICS if any(row.metric == metric for row in rows)]
    cases = list(dict.fromkeys(row.case for row in rows))
    figure, axes = plt.subplots(1, len(metrics), figsize=(4 * len(metrics), 4), dpi=120, squeeze=False)
    for axis, metric in zip(axes[0], metrics, strict=True):
        title, factor = METRICS[metric]
        methods = list(dict.fromkeys(row.method for row in rows if row.metric == metric))
        width = 0.8 / len(methods)
        for number, method in enumerate(methods):
            chosen = [row for row in rows if (row.method, row.metric) == (method, metric)]
            places = [cases.index(row.case) + (number - (len(methods) - 1) / 2) * width for row in chosen]
            axis.bar(places, [row.value * factor for row in chosen], width, label=method)
        if metric.startswith("weight_error"):
            axis.set_yscale("log")
        axis.set_xticks(range(len(cases)), [case.replace(", ", "\n") for case in cases], fontsize=8)
        axis.set_title(title)
        _finish(axis)
    return figure


def _curves(rows: list[Measurement]) -> Figure:
    """A column of axes for each axis of growth: time above, memory below."""
    growth = list(dict.fromkeys(row.case for row in rows))
    metrics = ("seconds", "peak_bytes")
    figure, axes = plt.subplots(2, len(growth), figsize=(3.5 * len(growth), 6), dpi=120, squeeze=False)
    for line, metric in zip(axes, metrics, strict=True):
        title, factor = METRICS[metric]
        for axis, case in zip(line, growth, strict=True):
            points: dict[str, list[tuple[int, float]]] = {}
            for row in rows:
                if (row.case, row.metric) == (case, metric):
                    points.setdefault(row.method, []).append((getattr(row, case), row.value * factor))
            for method, line_of_method in points.items():
                axis.plot(*zip(*line_of_method, strict=True), marker="o", label=method)
            axis.set_xscale("log", base=2)
            axis.set_yscale("log")
            axis.set(xlabel=case, title=title)
            _finish(axis)
    return figure


def _finish(axis: Axes) -> None:
    axis.grid(axis="y", alpha=0.3)
    axis.legend(fontsize=8)
