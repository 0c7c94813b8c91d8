# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Likelihood displacement in training logs: proxy and prediction against what was measured."""

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go
from scipy import stats

from verl_resrl.report.chart import Chart, empty_figure, not_logged
from verl_resrl.report.styles import Style

PROXY, MEASURED, RANK_CORRELATION = "resrl/lld_proxy", "resrl/lld_measured", "resrl/lld_rank_correlation"
PREDICTED, RANK_OF_INTERFERENCE = "resrl/lld_predicted", "resrl/lld_rank_correlation_interference"


def displacement_charts(training: pd.DataFrame, styles: Mapping[str, Style]) -> dict[str, Chart]:
    """Draw proxy and prediction against the measured change, a point a step.

    Args:
        training: of ``tables.training_table``.
        styles: by method.
    """
    charts = {}
    charts["lld"] = Chart(
        "lld",
        "Likelihood displacement: proxy against measurement",
        "One point a step. Across: the proxy, mean alignment of wrong tokens. Up: measured change of the right "
        "responses' log-likelihood by the update. Points that fall to the right mean that the proxy warns in the right "
        "direction; a cloud without slope, that it does not. Both also drift with training, so a correlation over "
        "steps is no proof that one causes the other.",
        (),
        {"": _against_measured(training, PROXY, "proxy", styles)},
        not_logged(training, PROXY, MEASURED, advice=" Train with measure_lld=true."),
    )
    charts["predicted"] = Chart(
        "predicted",
        "Likelihood displacement: prediction against measurement",
        "One point a step. Across: what pushing down the wrong responses is predicted to do to the right ones, from "
        "interference, weights and advantages, before the update; left of 0 it harms them; the scale says nothing. Up: "
        "measured change of the right responses' log-likelihood by the update, in which their own push has its part, "
        "too. Points that rise to the right mean that displacement is foreseen.",
        (),
        {"": _against_measured(training, PREDICTED, "predicted", styles)},
        not_logged(training, PREDICTED, MEASURED, advice=" Train with measure_lld=true."),
    )
    return charts


def lld_correlations(training: pd.DataFrame) -> list[dict]:
    """Correlate proxy and prediction with the measurement.

    Args:
        training: of ``tables.training_table``.

    Returns:
        Rows ``{"method", "seed", "num_steps", "measured", "predicted", "over_steps", "predicted_over_steps",
        "within_steps", "interference_within_steps"}``: means of the measured and of the predicted change; Spearman's
        rank correlation over the steps of a run, of the proxy with the measured drop (minus the change) and of the
        predicted with the measured change; and the means of the correlations with the drop that were logged within a
        step, of the proxy and of interference. None where undefined or not logged.
    """
    rows = []
    for (method, seed), run in training.groupby(["method", "seed"]):
        num_steps, with_change = _rank_over_steps(run, PROXY)
        if num_steps == 0:
            continue
        rows.append(
            {
                "method": str(method),
                "seed": int(seed),
                "num_steps": num_steps,
                "measured": _mean_of(run, MEASURED),
                "predicted": _mean_of(run, PREDICTED),
                "over_steps": None if with_change is None else -with_change,
                "predicted_over_steps": _rank_over_steps(run, PREDICTED)[1],
                "within_steps": _mean_of(run, RANK_CORRELATION),
                "interference_within_steps": _mean_of(run, RANK_OF_INTERFERENCE),
            }
        )
    return rows


def _rank_over_steps(run: pd.DataFrame, metric: str) -> tuple[int, float | None]:
    """Number of steps that have both, and the correlation of the metric with the measured change."""
    wide = run[run["metric"].isin([metric, MEASURED])].pivot(index="step", columns="metric", values="value")
    both = wide.reindex(columns=[metric, MEASURED]).dropna()
    varied = len(both) > 2 and bool((both.nunique() > 1).all())
    return len(both), float(stats.spearmanr(both[metric], both[MEASURED]).statistic) if varied else None


def _mean_of(training: pd.DataFrame, metric: str) -> float | None:
    logged = training[training["metric"] == metric]["value"].dropna()
    return float(logged.mean()) if len(logged) else None


def _against_measured(training: pd.DataFrame, metric: str, label: str, styles: Mapping[str, Style]) -> go.Figure:
    figure = empty_figure(label, "measured change")
    wide = training[training["metric"].isin([metric, MEASURED])].pivot(
        index=["method", "seed", "step"], columns="metric", values="value"
    )
    wide = wide.reindex(columns=[metric, MEASURED]).dropna().reset_index()
    for method in (name for name in styles if (wide["method"] == name).any()):
        part = wide[wide["method"] == method]
        figure.add_scatter(
            x=part[metric],
            y=part[MEASURED],
            mode="markers",
            name=method,
            marker={"color": styles[method].colour, "symbol": styles[method].symbol, "size": 7, "opacity": 0.6},
            customdata=part[["seed", "step"]],
            hovertemplate=f"{method} seed %{{customdata[0]}}, step %{{customdata[1]}}<br>{label} %{{x:.4g}}<br>"
            "measured %{y:+.4g}<extra></extra>",
        )
    return figure
