# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""How the time grows: the exponent p of a fitted time = c * size^p along each axis."""

import numpy as np
from rich import box
from rich.table import Table

from benchmarks.record import Measurement


def exponents(rows: list[Measurement]) -> dict[tuple[str, str], tuple[float, list[float]]]:
    """Fit a power law along each axis of growth, and along the number of ranks.

    Args:
        rows: measurements.

    Returns:
        By axis and method: the exponent, by least squares of the logarithms, and the sizes it was fitted to. Axes with
        fewer than three sizes are left out.
    """
    points: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for row in rows:
        if row.metric == "seconds" and " / " not in row.method:
            if row.question == "growth":
                points.setdefault((row.case, row.method), []).append((float(getattr(row, row.case)), row.value))
            elif row.question == "exchange":
                points.setdefault(("ranks", row.method), []).append((float(row.case.split()[0]), row.value))
    result = {}
    for key, pairs in points.items():
        if len(pairs) >= 3:
            sizes, seconds = zip(*sorted(pairs), strict=True)
            result[key] = (float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0]), list(sizes))
    return result


def power_law_table(rows: list[Measurement]) -> Table:
    """Make a table of the exponents.

    Args:
        rows: measurements.
    """
    table = Table(title="how the time grows: exponent of a fitted power law", box=box.SIMPLE, title_justify="left")
    for name in ("axis", "sizes", "method", "exponent"):
        table.add_column(name)
    for (axis, method), (exponent, sizes) in exponents(rows).items():
        table.add_row(axis, ", ".join(f"{size:g}" for size in sizes), method, f"{exponent:.2f}")
    return table
