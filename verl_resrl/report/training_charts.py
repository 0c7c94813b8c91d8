# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Training logs -> learning curves, and what ResRL reports of itself."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from verl_resrl.report.chart import Chart, add_band, empty_figure, key, not_logged
from verl_resrl.report.displacement import displacement_charts
from verl_resrl.report.styles import WEIGHT_COLOURS, Style

WINDOWS = (1, 10)  # steps averaged; the page shows the last one first
BINS = [f"resrl/weight_bin_{i}" for i in range(len(WEIGHT_COLOURS))]
BAND = "Line: mean over seeds. Band: smallest to largest seed."

# metric, title, unit, how to read it
LEARNING = (
    ("critic/score/mean", "Training reward", "score", "Mean score of the step's responses, on training prompts."),
    (
        "actor/entropy",
        "Entropy",
        "nats",
        "Mean entropy of the next token. A fast fall means that responses become alike; high entropy alone is no gain.",
    ),
    (
        "response_length/mean",
        "Response length",
        "tokens",
        "Compare with the reward: a method can gain by answering longer or shorter.",
    ),
)
DIAGNOSTICS = (
    (
        "resrl/active_group_frac",
        "Active groups",
        "share",
        "Share of prompts with both right and wrong responses, which got weights. Near 0, ResRL does nothing.",
    ),
    ("resrl/weight_mean", "Mean weight of negative tokens", "weight", "At 1, nothing is spared."),
    (
        "resrl/alignment_mean",
        "Alignment of negatives",
        "alignment",
        "Mean energy of wrong tokens inside the subspace of right ones: a bound on how much pushing them down can push "
        "right tokens down.",
    ),
    (
        "resrl/coverage",
        "Coverage",
        "share",
        "Share of the energy of right tokens inside their own subspace. Low: raise resrl.rank.",
    ),
    (
        "resrl/positive_logp_shift",
        "Log-probability shift of positives",
        "nats",
        "Mean change on right responses within a step. Below 0, they are being unlearned.",
    ),
)


def learning_charts(training: pd.DataFrame, styles: Mapping[str, Style]) -> dict[str, Chart]:
    """Draw reward, entropy, response length and, if logged, validation over steps.

    Args:
        training: of ``tables.training_table``.
        styles: by method.
    """
    charts = {
        metric: _curve_chart(training, metric, title, unit, text, styles) for metric, title, unit, text in LEARNING
    }
    validation = validation_metrics(training)
    if validation:
        figures = {key(metric): _curves(training, metric, "", 1, styles) for metric in validation}
        how = f"What verl logged on validation data while training. {BAND}"
        charts["validation"] = Chart("validation", "Validation during training", how, ("validation",), figures)
    return charts | displacement_charts(training, styles)


def validation_metrics(training: pd.DataFrame) -> list[str]:
    """Names of the metrics that verl logged on validation data."""
    return sorted(name for name in set(training["metric"]) if name.startswith("val"))


def diagnostic_charts(training: pd.DataFrame, styles: Mapping[str, Style]) -> dict[str, Chart]:
    """Draw what ResRL reports of itself over steps.

    Args:
        training: of ``tables.training_table``.
        styles: by method.
    """
    charts = {
        metric: _curve_chart(training, metric, title, unit, text, styles) for metric, title, unit, text in DIAGNOSTICS
    }
    charts["residuals"] = Chart(
        "residuals",
        "Residuals of negative tokens",
        "Quantiles 0.2 (dotted) and 0.8 (solid) of the residual: what of a token lies outside the subspace of right "
        "tokens. Close together, the subspace does not tell tokens apart. Means over seeds.",
        ("window",),
        {key(window): _residuals(training, window, styles) for window in WINDOWS},
        not_logged(training, "resrl/residual_q20", "resrl/residual_q80"),
    )
    charts["weights"] = Chart(
        "weights",
        "Weights of negative tokens over time",
        "Each column is a step, each row a tenth of the weights; dark where many tokens lie. Mean over seeds. Dark top "
        "and bottom rows are by design: the quantiles map to the smallest weight and to 1.",
        ("weights_of",),
        {key(method): _weights(training, method) for method in methods_with_bins(training)},
        not_logged(training, *BINS),
    )
    return charts


def methods_with_bins(training: pd.DataFrame) -> list[str]:
    """Names of the methods that logged the histogram of weights."""
    return sorted(set(training[training["metric"].isin(BINS)]["method"]))


def over_seeds(training: pd.DataFrame, metric: str, window: int) -> dict[str, pd.DataFrame]:
    """Average a metric over seeds.

    Args:
        training: of ``tables.training_table``.
        metric: its name.
        window: steps of the trailing mean that smooths each run before.

    Returns:
        By method: index step, columns ``mean, min, max`` over the seeds that have the step.
    """
    found = {}
    for method, part in training[training["metric"] == metric].groupby("method"):
        runs = part.pivot(index="step", columns="seed", values="value").sort_index()
        smooth = runs.rolling(window, min_periods=1).mean().where(runs.notna())
        found[str(method)] = pd.DataFrame({name: getattr(smooth, name)(axis=1) for name in ("mean", "min", "max")})
    return found


def _curve_chart(
    training: pd.DataFrame, metric: str, title: str, unit: str, text: str, styles: Mapping[str, Style]
) -> Chart:
    figures = {key(window): _curves(training, metric, unit, window, styles) for window in WINDOWS}
    return Chart(metric, title, f"{text} {BAND}", ("window",), figures, not_logged(training, metric))


def _curves(training: pd.DataFrame, metric: str, unit: str, window: int, styles: Mapping[str, Style]) -> go.Figure:
    figure = empty_figure("step", unit)
    by_method = over_seeds(training, metric, window)
    for method in (name for name in styles if name in by_method):
        curve, style = by_method[method], styles[method]
        add_band(figure, curve.index, curve["min"], curve["max"], style.faint(0.15), method)
        figure.add_scatter(
            x=curve.index,
            y=curve["mean"],
            mode="lines+markers" if len(curve) == 1 else "lines",
            name=method,
            legendgroup=method,
            line={"color": style.colour, "dash": style.dash, "width": 2},
            hovertemplate=f"{method}, step %{{x}}: %{{y:.4g}}<extra></extra>",
        )
    return figure


def _residuals(training: pd.DataFrame, window: int, styles: Mapping[str, Style]) -> go.Figure:
    figure = empty_figure("step", "residual")
    for quantile, dash in ((20, "dot"), (80, "solid")):
        by_method = over_seeds(training, f"resrl/residual_q{quantile}", window)
        for method in (name for name in styles if name in by_method):
            curve = by_method[method]
            figure.add_scatter(
                x=curve.index,
                y=curve["mean"],
                mode="lines",
                name=f"{method}, {quantile / 100:.1f}",
                line={"color": styles[method].colour, "dash": dash, "width": 2},
                hovertemplate=f"{method}, quantile {quantile / 100:.1f}, step %{{x}}: %{{y:.4g}}<extra></extra>",
            )
    return figure


def _weights(training: pd.DataFrame, method: str) -> go.Figure:
    figure = empty_figure("step", "weight")
    part = training[(training["method"] == method) & training["metric"].isin(BINS)]
    shares = part.pivot_table(index="metric", columns="step", values="value", aggfunc="mean").reindex(BINS)
    figure.add_heatmap(
        x=shares.columns,
        y=np.arange(len(BINS)) / 10 + 0.05,
        z=shares.to_numpy(float),
        zmin=0,
        zmax=float(np.nanmax(shares.to_numpy(float))),
        colorscale="Blues",
        colorbar={"title": {"text": "share"}, "thickness": 12},
        hovertemplate="step %{x}, weight near %{y:.2f}: %{z:.1%} of negative tokens<extra></extra>",
    )
    return figure.update_yaxes(range=[0, 1])
