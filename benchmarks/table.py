# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Measurements side by side with the baseline's, their ratio, and the target where there is one."""

from dataclasses import dataclass

from rich import box
from rich.table import Table

from benchmarks.questions import QUESTIONS
from benchmarks.record import Measurement

BASELINES = {
    "weights": "eager",
    "interference": "resrl",
    "growth": "eager",
    "residual": "copy",
    "step": "without",
    "exchange": "bound",
    "generation": "transformers",
}

# in the table; the quantiles of the time are in the file only
METRICS = {
    "seconds": "time",
    "peak_bytes": "peak memory",
    "bytes_per_second": "bandwidth",
    "exchange_seconds": "exchange",
    "sent_bytes": "sent",
    "weight_error_mean": "mean error",
    "weight_error_max": "max error",
}


@dataclass(frozen=True)
class Target:
    """What we would like to see; it is shown beside the result, nothing fails when it is missed.

    Attributes:
        bound: largest value, or smallest.
        at_least: whether ``bound`` is the smallest value.
        of_ratio: whether it bounds the ratio to the baseline instead of the number itself.
    """

    bound: float
    at_least: bool = False
    of_ratio: bool = True

    def __str__(self) -> str:
        """Such as ``ratio <= 1.02``."""
        return f"{'ratio ' if self.of_ratio else ''}{'>=' if self.at_least else '<='} {self.bound:.3g}"

    def met(self, value: float, ratio: float) -> bool:
        """Tell whether it is met.

        Args:
            value: of the measurement.
            ratio: to the baseline.
        """
        reached = ratio if self.of_ratio else value
        return reached >= self.bound if self.at_least else reached <= self.bound


TARGETS = {
    "cpu": {
        ("weights", "seconds"): Target(1.0),
        ("weights", "peak_bytes"): Target(1.0),
        ("weights", "weight_error_mean"): Target(1 / 50),
        ("weights", "weight_error_max"): Target(1e-2, of_ratio=False),
        ("interference", "seconds"): Target(2.0),
        ("interference", "peak_bytes"): Target(2.0),
        ("exchange", "sent_bytes"): Target(1.0),
    },
    "cuda": {
        ("weights", "seconds"): Target(1 / 20),
        ("weights", "peak_bytes"): Target(1 / 10),
        ("weights", "weight_error_mean"): Target(1 / 20),  # bfloat16 products
        ("weights", "weight_error_max"): Target(1e-2, of_ratio=False),
        ("residual", "bytes_per_second"): Target(0.7, at_least=True),
        ("step", "seconds"): Target(1.02),
        ("interference", "seconds"): Target(2.0),
        ("interference", "peak_bytes"): Target(2.0),
        ("exchange", "sent_bytes"): Target(1.0),
    },
}


def tables(rows: list[Measurement], device: str) -> list[Table]:
    """Make a table of each question that has been measured.

    Args:
        rows: measurements, with the ratios among them.
        device: ``cuda`` or ``cpu``.
    """
    return [_table(question, rows, device) for question in QUESTIONS if any(row.question == question for row in rows)]


def _table(question: str, rows: list[Measurement], device: str) -> Table:
    baseline = BASELINES[question]
    values = {(label(row), row.method, row.metric): row for row in rows if row.question == question}
    table = Table(title=f"{question}: {QUESTIONS[question]}", box=box.SIMPLE, title_justify="left")
    table.add_column("case")
    for name in ("metric", "method"):
        table.add_column(name, no_wrap=True)
    for name in ("measured", baseline, "ratio", "target"):
        table.add_column(name, justify="right", no_wrap=True)
    for (case, method, metric), row in values.items():
        reference = values.get((case, baseline, metric))
        ratio = values.get((case, f"{method} / {baseline}", metric))
        if method == baseline or " / " in method or metric not in METRICS:
            continue
        compared = ("", "", "")  # the baseline does not have every number
        if reference is not None and ratio is not None:
            target = TARGETS[device].get((question, metric))
            described = f"{target}: {'met' if target.met(row.value, ratio.value) else 'missed'}" if target else ""
            compared = (readable(reference), f"{ratio.value:.3g}", described)
        table.add_row(case, METRICS[metric], method, readable(row), *compared)
    return table


def targets_table(rows: list[Measurement], device: str) -> Table:
    """Make one table of all targets: what was measured, and whether they are held.

    Args:
        rows: measurements, with the ratios among them.
        device: ``cuda`` or ``cpu``.
    """
    table = Table(title="targets", box=box.SIMPLE, title_justify="left")
    for name in ("question", "case", "method", "metric", "target", "measured", "held"):
        table.add_column(name)
    for (question, metric), target in TARGETS[device].items():
        baseline = BASELINES[question]
        measured = {
            (row.case, row.method): row.value for row in rows if (row.question, row.metric) == (question, metric)
        }
        for (case, method), value in measured.items():
            ratio = measured.get((case, f"{method} / {baseline}"))
            if method != baseline and " / " not in method and ratio is not None:
                shown = ratio if target.of_ratio else value
                held = "yes" if target.met(value, ratio) else "no"
                table.add_row(question, case, method, METRICS[metric], str(target), f"{shown:.3g}", held)
        if not measured:
            table.add_row(question, "", "", METRICS[metric], str(target), "not measured", "")
    return table


def label(row: Measurement) -> str:
    """Name the problem of a measurement; along an axis of growth, with its value, as in ``tokens 4096``."""
    return f"{row.case} {getattr(row, row.case)}" if row.question == "growth" else row.case


def readable(row: Measurement) -> str:
    """Write a number in a unit that suits it, as in ``12.3 ms``."""
    if row.unit == "s":
        return f"{row.value * 1e3:.3g} ms" if row.value < 1 else f"{row.value:.3g} s"
    if row.unit == "B":
        return f"{row.value / 2**20:.1f} MiB"
    if row.unit == "B/s":
        return f"{row.value / 1e9:.0f} GB/s"
    return f"{row.value:.2g}"
