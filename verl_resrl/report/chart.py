# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""A chart of the page: one plotly figure for each setting of its controls, with words that say how to read it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go

SEPARATOR = "|"  # between the settings in a figure's key
GRID = {"gridcolor": "#e6e6e6", "zerolinecolor": "#bdbdbd", "linecolor": "#bdbdbd", "ticks": "outside"}


@dataclass(frozen=True)
class Chart:
    """A chart that the page draws.

    Attributes:
        name: identifies it.
        title: above it.
        how_to_read: sentences below it.
        controls: which of the page's controls choose the figure, such as ``("source", "k")``.
        figures: by the controls' settings, joined by "|"; "" without controls.
        missing: why there is nothing to draw; empty if there is.
        wide: whether it takes the whole width of the page.
    """

    name: str
    title: str
    how_to_read: str
    controls: tuple[str, ...]
    figures: Mapping[str, go.Figure]
    missing: str = ""
    wide: bool = False


def key(*settings: Any) -> str:
    """Join settings of controls to the key of a figure."""
    return SEPARATOR.join(str(setting) for setting in settings)


def empty_figure(x: str, y: str, **layout: Any) -> go.Figure:
    """A figure with named axes and nothing in it.

    Args:
        x: title of the x axis.
        y: title of the y axis.
        layout: more of plotly's layout.
    """
    figure = go.Figure()
    figure.update_layout(
        template="none",
        autosize=True,
        showlegend=True,
        height=360,
        margin={"l": 50, "r": 14, "t": 34, "b": 50},
        font={"family": "system-ui, sans-serif", "size": 13, "color": "#222"},
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": "#999", "activecolor": "#222", "orientation": "v"},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="#ffffff",
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        hoverlabel={"font": {"size": 12}},
        xaxis={"title": {"text": x, "standoff": 8}, **GRID},
        yaxis={"title": {"text": y, "standoff": 8}, "automargin": True, "exponentformat": "power", **GRID},
    )
    return figure.update_layout(**layout)


def add_band(figure: go.Figure, x: Any, low: Any, high: Any, colour: str, group: str) -> None:
    """Shade between two curves.

    Args:
        figure: where to.
        x: of both curves.
        low: the lower one.
        high: the upper one.
        colour: of the shade.
        group: legend group, so that it goes with its line.
    """
    outline = {"mode": "lines", "line": {"width": 0}, "legendgroup": group, "showlegend": False, "hoverinfo": "skip"}
    figure.add_scatter(x=x, y=high, **outline)
    figure.add_scatter(x=x, y=low, fill="tonexty", fillcolor=colour, **outline)


def not_logged(training: pd.DataFrame, *metrics: str, advice: str = "") -> str:
    """A sentence if no run logged one of these metrics, else nothing.

    Args:
        training: of ``tables.training_table``.
        *metrics: that a chart needs.
        advice: to be added.
    """
    logged: Sequence[str] = sorted(set(training["metric"]) & set(metrics))
    if len(logged) == len(metrics):
        return ""
    missing = [metric for metric in metrics if metric not in logged]
    return f"No run logged {missing[0]}{' and others' if len(missing) > 1 else ''}.{advice}"
