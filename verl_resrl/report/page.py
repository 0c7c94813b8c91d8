# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""A comparison -> one HTML file that needs nothing else, not even a network."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from verl_resrl.evaluation.summary import SELF_BLEU_SAMPLES
from verl_resrl.report.chart import Chart
from verl_resrl.report.comparison import Comparison
from verl_resrl.report.evaluation_charts import above_one, evaluation_charts
from verl_resrl.report.matched import coverage
from verl_resrl.report.results import MEASURES
from verl_resrl.report.styles import WEIGHT_COLOURS, Style
from verl_resrl.report.training_charts import (
    WINDOWS,
    diagnostic_charts,
    learning_charts,
    methods_with_bins,
    validation_metrics,
)

MISSING, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"
SHOWN_KS = 4  # columns of Pass@k in the table of results; comparison.json has all


def render_page(
    comparison: Comparison, styles: Mapping[str, Style], window: int, views: Sequence[Mapping[str, Any]]
) -> str:
    """Write the page.

    Args:
        comparison: what to show.
        styles: by method.
        window: steps averaged in training figures, at first.
        views: of ``token_weights_file.token_views``.

    Returns:
        HTML.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("verl_resrl.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"signed": _signed, "number": _number, "p": _p, "json": _script_json}
    charts = {
        "evaluation": evaluation_charts(
            comparison.evaluations,
            comparison.passes,
            comparison.ks,
            comparison.sources,
            comparison.baseline,
            styles,
        ),
        "learning": learning_charts(comparison.training, styles),
        "diagnostics": diagnostic_charts(comparison.training, styles),
    }
    ks, shown_ks = comparison.ks, _shown(comparison.ks)
    options: dict[str, list] = {
        "source": list(comparison.sources),
        "k": above_one(ks),
        "window": list(WINDOWS),
        "weights_of": methods_with_bins(comparison.training),
        "validation": validation_metrics(comparison.training),
    }
    first = {name: str(values[0]) for name, values in options.items() if values}
    first["window"] = str(window)
    if options["k"]:
        first["k"] = str(_first_k(options["k"], int(comparison.evaluations["num_samples"].min())))
    drawn = {chart.name: chart for group in charts.values() for chart in group.values() if not chart.missing}
    return environment.get_template("page.html").render(
        comparison=comparison,
        numbers=comparison.numbers,
        charts=charts,
        ks=ks,
        options=options,
        state=first,
        shown_ks=shown_ks,
        shown_measures=["Avg@n", *(f"Pass@{k}" for k in shown_ks), *MEASURES],
        in_short=_in_short(comparison),
        figures={name: _figures(chart) for name, chart in drawn.items()},
        self_bleu_responses=SELF_BLEU_SAMPLES,
        views=views,
        weight_colours=WEIGHT_COLOURS,
        # plotly's own script ends no script element early; it must not be escaped
        plotly_js=Markup(get_plotlyjs()),
    )


def _shown(ks: Sequence[int]) -> list[int]:
    """The largest k and a few below it, evenly over the list; 1 is Avg@n."""
    larger = above_one(ks)
    stride = max(1, -(-len(larger) // SHOWN_KS))
    return larger[::-1][::stride][::-1]


def _first_k(ks: Sequence[int], num_samples: int) -> int:
    """The largest k up to a quarter of the samples: Pass@n of n samples is 0 or 1 for each problem, and noisy."""
    return max((k for k in ks if 4 * k <= num_samples), default=ks[0])


def _in_short(comparison: Comparison) -> list[dict[str, Any]]:
    """For each method but the baseline and each k, its differences."""

    def find(table: str, method: str, **wanted: Any) -> Any:
        rows = comparison.numbers[table]
        wanted |= {"method": method, "source": "overall"}
        return next((row for row in rows if all(row[name] == value for name, value in wanted.items())), None)

    return [
        {
            "method": method,
            "k": k,
            "matched": matched,
            "coverage": coverage(matched, comparison.baseline) if matched else "",
            "avg": find("paired_differences", method, measure="Avg@n"),
            "passes": find("paired_differences", method, measure=f"Pass@{k}"),
        }
        for method in comparison.methods
        if method != comparison.baseline
        for k in above_one(comparison.ks)
        for matched in [find("matched_differences", method, k=k)]
    ]


def _figures(chart: Chart) -> dict[str, Any]:
    figures = {name: json.loads(figure.to_json()) for name, figure in chart.figures.items()}
    return {"controls": chart.controls, "figures": figures}


def _script_json(value: Any) -> Markup:
    """JSON that may stand in a script element."""
    return Markup(json.dumps(value, allow_nan=False).replace("<", "\\u003c"))


def _signed(value: float | None, digits: int = 3) -> str:
    return MISSING if value is None else f"{value:+.{digits}f}".replace("-", MINUS)


def _number(value: float | None, digits: int = 3) -> str:
    return MISSING if value is None else f"{value:.{digits}f}".replace("-", MINUS)


def _p(value: float) -> str:
    return f"{value:.4f}" if value < 0.01 else f"{value:.3f}"
