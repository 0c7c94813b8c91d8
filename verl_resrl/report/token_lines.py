# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Responses in a picture: token after token in lines of text, each on the colour of its weight."""

import textwrap
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patches import Rectangle

from verl_resrl.report.styles import WEIGHT_COLOURS

CHARACTER = 0.602  # width of a character of matplotlib's monospace font, of its size
COLOURS = ListedColormap(WEIGHT_COLOURS)
GREY = "#4d4d4d"
END = "■"
MARK = "▲"


class Page:
    """Lines of text in a picture.

    Args:
        axes: to write into; all of it is taken.
        columns: characters of a line.
        lines: that there is room for.
        names: columns at the left, for what a response is.

    Attributes:
        lines: that are written.
    """

    def __init__(self, axes: Axes, columns: int, lines: float, names: int) -> None:
        self.lines = 0.0
        self._axes, self._columns, self._names = axes, columns, names
        axes.axis("off")
        axes.set_xlim(0, columns)
        axes.set_ylim(lines, 0)
        figure: Any = axes.figure
        width = axes.get_window_extent().width / figure.dpi * 72  # points
        self._font = {"family": "monospace", "fontsize": width / columns / CHARACTER, "va": "center"}

    def text(self, name: str, text: str) -> None:
        """Write plain text in as many lines as it takes.

        Args:
            name: what it is.
            text: in one paragraph.
        """
        self._write(0, name, GREY)
        for part in textwrap.wrap(text, self._columns - self._names):
            self._write(self._names, part, GREY)
            self.lines += 1

    def response(
        self, name: str, tokens: Sequence[str], weights: Sequence[float] | None = None, mark: int | None = None
    ) -> None:
        """Write a response in as many lines as it takes.

        Args:
            name: what it is.
            tokens: texts.
            weights: in [0, 1], of each token; None leaves it without colours.
            mark: token with a mark below it, in a line of its own.
        """
        self._write(0, name, "black")
        column, marked = self._names, None
        for place, token in enumerate(tokens):
            token = token.replace("\n", "⏎") or END
            if column + len(token) > self._columns and column > self._names:
                self._next_line(marked)
                column, marked = self._names, None
            if weights is not None:
                colour = COLOURS(weights[place])
                self._axes.add_patch(Rectangle((column, self.lines + 0.05), len(token), 0.9, color=colour, linewidth=0))
            self._write(column, token, "black" if weights is not None else GREY)
            if place == mark:
                marked = column + len(token) - len(token.lstrip())
            column += len(token)
        self._next_line(marked)

    def skip(self) -> None:
        """Leave half a line empty."""
        self.lines += 0.5

    def _next_line(self, marked: int | None) -> None:
        self.lines += 1
        if marked is not None:
            self._write(marked, MARK, "black")
            self.lines += 1

    def _write(self, column: int, text: str, colour: str) -> None:
        self._axes.text(column, self.lines + 0.5, text.replace("$", r"\$"), color=colour, ha="left", **self._font)
