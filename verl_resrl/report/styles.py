# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""One look for each method, on the page and in the images: colour, line and marker, so that colour is never alone."""

from collections.abc import Sequence
from dataclasses import dataclass

BASELINE_COLOUR = "#4d4d4d"
# Okabe and Ito's colours for the colour-blind, those that stand out on white
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7b3294", "#8c6d31")
DASHES = ("solid", "dash", "dot")  # plotly's names
MATPLOTLIB_DASHES = {"solid": "-", "dash": "--", "dot": ":"}
MARKERS = (("circle", "o"), ("square", "s"), ("triangle-up", "^"), ("diamond", "D"), ("x", "X"), ("star", "*"))

# weight of a negative token in [i/10, (i+1)/10): from shared with right responses (blue) to its own (orange). All are
# light enough for black text
WEIGHT_COLOURS = (
    "#9ecae9",
    "#b3d5ee",
    "#c8e0f2",
    "#dcebf7",
    "#eef5fb",
    "#fdf1e6",
    "#fde0c5",
    "#fdcda0",
    "#fdb777",
    "#f9a054",
)


@dataclass(frozen=True)
class Style:
    """How a method is drawn.

    Attributes:
        colour: "#rrggbb".
        dash: plotly's name of the line.
        symbol: plotly's name of the marker.
        marker: matplotlib's name of the same marker.
    """

    colour: str
    dash: str
    symbol: str
    marker: str

    def faint(self, opacity: float) -> str:
        """The colour with an opacity, for bands."""
        red, green, blue = (int(self.colour[i : i + 2], 16) for i in (1, 3, 5))
        return f"rgba({red},{green},{blue},{opacity})"


def method_styles(methods: Sequence[str], baseline: str) -> dict[str, Style]:
    """Give each method a look; the baseline is dark grey and comes first.

    Args:
        methods: names.
        baseline: one of them, or none.
    """
    others = sorted(set(methods) - {baseline})
    styles = {baseline: Style(BASELINE_COLOUR, "solid", *MARKERS[0])} if baseline in methods else {}
    for index, method in enumerate(others):
        dash = DASHES[index // len(COLOURS) % len(DASHES)]
        styles[method] = Style(COLOURS[index % len(COLOURS)], dash, *MARKERS[(index + 1) % len(MARKERS)])
    return styles
