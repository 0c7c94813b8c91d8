# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The whole way from run folders to files: page, numbers and images."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from verl_resrl.evaluation.settings import write_json, write_whole
from verl_resrl.report.comparison import Comparison, compare_runs
from verl_resrl.report.images import write_images
from verl_resrl.report.page import render_page
from verl_resrl.report.run_folders import Run, read_runs
from verl_resrl.report.styles import method_styles
from verl_resrl.report.token_weights_file import token_views
from verl_resrl.report.training_charts import WINDOWS
from verl_resrl.runs.files import RunError

STEPS_TO_SMOOTH = 30  # shorter trainings are shown step by step at first


def write_comparison(
    folders: Sequence[Path],
    out: Path,
    baseline: str,
    need_baseline: bool,
    console: Console,
    benchmark: str | None = None,
) -> tuple[list[Path], list[str]]:
    """Read the runs, compare them and write the results.

    Args:
        folders: of the runs.
        out: folder of the results; made if need be.
        baseline: method that the others are compared with.
        need_baseline: whether it is an error that no run has this method.
        console: shows the progress.
        benchmark: whose evaluations are compared; None for those on data of one's own.

    Returns:
        The files, and notes of what is missing.

    Raises:
        RunError: a file is broken, or the runs cannot be compared.
    """
    if out.exists() and not out.is_dir():
        raise RunError(f"--out {out} is a file: name a folder")
    runs = read_runs(folders, benchmark)
    methods = sorted({run.method for run in runs})
    if need_baseline and baseline not in methods:
        raise RunError(f"--baseline {baseline}: no run has this method; there are {', '.join(methods)}")
    columns = (
        TextColumn("reading samples"),
        BarColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("")

        def report(done: int, total: int, what: str) -> None:
            progress.update(task, completed=done, total=total, description=what or "comparing")

        comparison = compare_runs(runs, baseline, report)
    return _write(out, runs, comparison), comparison.numbers["notes"]


def _write(out: Path, runs: Sequence[Run], comparison: Comparison) -> list[Path]:
    views, notes = token_views(runs)
    comparison.numbers["notes"] += notes
    styles = method_styles(comparison.methods, comparison.baseline)
    window = WINDOWS[-1] if max(comparison.training["step"], default=0) >= STEPS_TO_SMOOTH else WINDOWS[0]
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"--out: cannot write to {out} ({error.strerror})") from None
    page, numbers = out / "report.html", out / "comparison.json"
    write_whole(page, render_page(comparison, styles, window, views))
    write_json(numbers, comparison.numbers)
    tables = (comparison.training, comparison.evaluations, comparison.passes)
    return [page, numbers, *write_images(out, *tables, comparison.ks, window, styles)]
