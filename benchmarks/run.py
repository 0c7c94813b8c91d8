# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Works through the cases, shows how far it is, and reports at the end or when it is stopped."""

import time
from collections.abc import Collection
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from benchmarks.cases import all_cases
from benchmarks.csv_file import ResultsFile, processor, read_measurements
from benchmarks.plots import write_plots
from benchmarks.power_law import power_law_table
from benchmarks.questions import NEEDS_GPU
from benchmarks.record import Case
from benchmarks.table import tables


def run(device: str, questions: Collection[str], folder: Path, console: Console) -> int:
    """Measure, write the CSV file and the plots, print the tables.

    Args:
        device: ``cuda`` or ``cpu``.
        questions: what to measure.
        folder: of ``<device>.csv`` and the plots.
        console: where to print.

    Returns:
        0, or 130 when stopped; what was measured until then is reported all the same.
    """
    console.print(f"measuring on {processor(device)}", highlight=False)
    for question, reason in NEEDS_GPU.items():
        if device == "cpu" and question in questions:
            console.print(f"{question}: skipped without an NVIDIA GPU, {reason}", highlight=False)
    if device == "cuda" and "exchange" in questions and torch.cuda.device_count() < 2:
        console.print("exchange: skipped with one GPU; CUDA_VISIBLE_DEVICES= measures it on the CPU", highlight=False)
    path = folder / f"{device}.csv"
    stopped = _measure(all_cases(device, questions), ResultsFile(path, device, questions), console)
    rows = read_measurements(path)
    for table in (*tables(rows, device), power_law_table(rows)):
        console.print(table)
    for file in (path, *write_plots(rows, folder, device)):
        console.print(str(file), highlight=False, soft_wrap=True)
    if stopped:
        console.print("stopped; the files hold what was measured until then")
    return 130 if stopped else 0


def _measure(cases: list[Case], results: ResultsFile, console: Console) -> bool:
    """Tell whether it was stopped."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=len(cases))
        begin = time.monotonic()
        for done, case in enumerate(cases, start=1):
            progress.update(task, description=f"{case.question}: {case.name}")
            try:
                results.append(case.measure())
            except KeyboardInterrupt:
                return True
            progress.advance(task)
            elapsed = time.monotonic() - begin
            left = elapsed / done * (len(cases) - done)
            line = f"({done}/{len(cases)}) {case.question}: {case.name}, {elapsed:.0f} s so far"
            console.print(f"{line}, about {left:.0f} s left", highlight=False)
    return False
