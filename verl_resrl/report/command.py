# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""``resrl compare``: what several trainings say about their methods, as one page."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from verl_resrl.report.comparison import Comparison, compare_runs
from verl_resrl.report.images import write_images
from verl_resrl.report.page import render_page
from verl_resrl.report.run_folders import ReportError, Run, read_runs
from verl_resrl.report.styles import method_styles
from verl_resrl.report.token_weights_file import token_views
from verl_resrl.report.training_charts import WINDOWS

BASELINE = "grpo"
STEPS_TO_SMOOTH = 30  # shorter trainings are shown step by step at first


def compare(
    run_dirs: Annotated[
        list[Path], typer.Argument(metavar="RUN_DIR", help="Folders of trainings: several methods, several seeds.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the results; made if need be, files in it replaced.")] = Path(
        "comparison"
    ),
    baseline: Annotated[
        str | None,
        typer.Option(help=f"Method that the others are compared with; {BASELINE} if not given.", show_default=False),
    ] = None,
) -> None:
    """Compare trainings of several methods and seeds on one HTML page.

    The page needs no network: learning curves, Pass@k, the frontier of Avg@n
    against Pass@k over checkpoints with a comparison at the same Avg, paired
    differences with p-values, diagnostics of ResRL, the settings that differ,
    and a viewer of single responses with the weight of each token. Beside it,
    the numbers (comparison.json) and images.

    A RUN_DIR is the folder of one training:

    \b
      hydra/.hydra/config.yaml  verl's configuration
                                (hydra.run.dir=RUN_DIR/hydra)
      metrics/NNNN.jsonl        verl's log ('file' in trainer.logger, and
                                VERL_FILE_LOGGER_PATH=RUN_DIR/metrics/0000.jsonl)
      evaluations/step_N/       what 'resrl eval' wrote for the checkpoint of
                                step N; step_0 is the start

    The method is trainer.experiment_name, the seed data.seed. Metrics or
    evaluations may be missing: the page says so. For differences that can be
    trusted, train every method under the same seeds, and evaluate several
    checkpoints of each on the same problems.

    \b
    Examples:
      resrl compare outputs/study/*
      resrl compare outputs/grpo-0 outputs/resrl-0 --out outputs/comparison
      resrl compare outputs/study/* --baseline nsr
    """  # noqa: D301 (typer keeps the line breaks of a paragraph that starts with a backspace)
    console = Console(stderr=True)
    try:
        runs = read_runs(run_dirs)
        methods = sorted({run.method for run in runs})
        if baseline is not None and baseline not in methods:
            raise ReportError(f"--baseline {baseline}: no run has this method; there are {', '.join(methods)}")
        comparison = _compare(runs, baseline or BASELINE, console)
        files = _write(out, runs, comparison)
    except ReportError as error:
        console.print(f"error: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
    for note in comparison.numbers["notes"]:
        console.print(f"note: {note}", highlight=False, markup=False, soft_wrap=True)
    for file in files:
        typer.echo(file)


def _compare(runs: list[Run], baseline: str, console: Console) -> Comparison:
    columns = (TextColumn("reading samples"), BarColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("")

        def report(done: int, total: int, what: str) -> None:
            progress.update(task, completed=done, total=total, description=what or "comparing")

        return compare_runs(runs, baseline, report)


def _write(out: Path, runs: list[Run], comparison: Comparison) -> list[Path]:
    """Write the page, the numbers and the images."""
    views, notes = token_views(runs)
    comparison.numbers["notes"] += notes
    styles = method_styles(comparison.methods, comparison.baseline)
    window = WINDOWS[-1] if max(comparison.training["step"], default=0) >= STEPS_TO_SMOOTH else WINDOWS[0]
    out.mkdir(parents=True, exist_ok=True)
    page, numbers = out / "report.html", out / "comparison.json"
    _replace(page, render_page(comparison, styles, window, views))
    _replace(numbers, json.dumps(comparison.numbers, indent=1, allow_nan=False) + "\n")
    tables = (comparison.training, comparison.evaluations, comparison.passes)
    return [page, numbers, *write_images(out, *tables, comparison.ks, window, styles)]


def _replace(file: Path, text: str) -> None:
    """Write a file that appears whole or not at all."""
    unfinished = file.with_name(file.name + ".tmp")
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, file)
