# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Training logs -> learning curves, diagnostics of ResRL, and the proxy of Lazy Likelihood Displacement."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from scipy import stats

from verl_resrl.report.chart import Chart, add_band, empty_figure, key
from verl_resrl.report.styles import WEIGHT_COLOURS, Style

WINDOWS = (1, 10)  # steps averaged; the page shows the last one first
BINS = [f"resrl/weight_bin_{i}" for i in range(len(WEIGHT_COLOURS))]
PROXY, MEASURED, RANK_CORRELATION = "resrl/lld_proxy", "resrl/lld_measured", "resrl/lld_rank_correlation"
PREDICTED, RANK_OF_INTERFERENCE = "resrl/lld_predicted", "resrl/lld_rank_correlation_interference"
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
    return charts


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
        _not_logged(training, "resrl/residual_q20", "resrl/residual_q80"),
    )
    charts["weights"] = Chart(
        "weights",
        "Weights of negative tokens over time",
        "Each column is a step, each row a tenth of the weights; dark where many tokens lie. Mean over seeds. Dark top "
        "and bottom rows are by design: the quantiles map to the smallest weight and to 1.",
        ("weights_of",),
        {key(method): _weights(training, method) for method in methods_with_bins(training)},
        _not_logged(training, *BINS),
    )
    charts["lld"] = Chart(
        "lld",
        "Likelihood displacement: proxy against measurement",
        "One point a step. Across: the proxy, mean alignment of wrong tokens. Up: measured change of the right "
        "responses' log-likelihood by the update. Points that fall to the right mean that the proxy warns in the right "
        "direction; a cloud without slope, that it does not. Both also drift with training, so a correlation over "
        "steps is no proof that one causes the other.",
        (),
        {"": _against_measured(training, PROXY, "proxy", styles)},
        _not_logged(training, PROXY, MEASURED, advice=" Train with measure_lld=true."),
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
        _not_logged(training, PREDICTED, MEASURED, advice=" Train with measure_lld=true."),
    )
    return charts


def methods_with_bins(training: pd.DataFrame) -> list[str]:
    """Names of the methods that logged the histogram of weights."""
    return sorted(set(training[training["metric"].isin(BINS)]["method"]))


def lld_correlations(training: pd.DataFrame) -> list[dict]:
    """Correlate proxy and measurement.

    Args:
        training: of ``tables.training_table``.

    Returns:
        Rows ``{"method", "seed", "num_steps", "over_steps", "within_steps", "interference_within_steps"}``: Spearman's
        rank correlation of the proxy with the measured drop (minus the change) over the steps of a run, and the means
        of those that were logged within a step, of the proxy and of interference. None where undefined or not logged.
    """
    rows = []
    for (method, seed), run in training[training["metric"].isin([PROXY, MEASURED])].groupby(["method", "seed"]):
        both = run.pivot(index="step", columns="metric", values="value").reindex(columns=[PROXY, MEASURED]).dropna()
        if both.empty:
            continue
        varied = len(both) > 2 and bool((both.nunique() > 1).all())
        over = float(stats.spearmanr(both[PROXY], -both[MEASURED]).statistic) if varied else None
        own = training[(training["method"] == method) & (training["seed"] == seed)]
        rows.append(
            {"method": str(method), "seed": int(seed), "num_steps": len(both), "over_steps": over}
            | {"within_steps": _mean_of(own, RANK_CORRELATION)}
            | {"interference_within_steps": _mean_of(own, RANK_OF_INTERFERENCE)}
        )
    return rows


def _mean_of(training: pd.DataFrame, metric: str) -> float | None:
    logged = training[training["metric"] == metric]["value"].dropna()
    return float(logged.mean()) if len(logged) else None


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
    return Chart(metric, title, f"{text} {BAND}", ("window",), figures, _not_logged(training, metric))


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


def _not_logged(training: pd.DataFrame, *metrics: str, advice: str = "") -> str:
    """A sentence if none of the runs logged these metrics, else nothing."""
    logged: Sequence[str] = sorted(set(training["metric"]) & set(metrics))
    if len(logged) == len(metrics):
        return ""
    missing = [metric for metric in metrics if metric not in logged]
    return f"No run logged {missing[0]}{' and others' if len(missing) > 1 else ''}.{advice}"
