# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The command line of ``resrl doctor``. What it needs is imported when it runs, so that ``--help`` is quick."""

import contextlib
import importlib.util
import json
import os
import sys
import warnings
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from verl_resrl.doctor.finding import Finding

HELP = """Check this installation, and say what to do about each failure. Exit code 1 if something failed.

Looks at versions, at the plugin in this process and in a Ray worker, at what verl's registries and configuration know,
at the weights against a float64 SVD, and, where a GPU is, at the fused kernel and vLLM. Takes about half a minute.

    resrl doctor

    resrl doctor --json > doctor.json      (to attach to an issue)

    RAY_ADDRESS=auto resrl doctor          (looks into a worker of a running cluster)
"""
MARKS = {True: "[green]ok[/green]", None: "[dim]-[/dim]", False: "[red]FAILED[/red]"}


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON in place of a table.")] = False) -> None:
    """See HELP."""
    from rich.console import Console

    from verl_resrl.doctor.checkup import checkup

    if not _has_accelerator():
        os.environ.setdefault(
            "VERL_PLATFORM", "cpu"
        )  # read by verl in this process and in Ray's, as +device=cpu sets it
    console = Console(stderr=True)
    findings = []
    with console.status("looking") as status, _quiet():
        for finding in checkup():
            findings.append(finding)
            status.update(f"looked at {finding.name}")
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        Console().print(_table(findings))
        for finding in findings:
            if finding.ok is False:
                typer.echo(f"{finding.name}: {finding.advice}")
    if any(finding.ok is False for finding in findings):
        raise typer.Exit(1)


def _table(findings: "list[Finding]") -> "Table":
    from rich import box
    from rich.table import Table

    table = Table("", "", "found", box=box.SIMPLE)
    for finding in findings:
        table.add_row(MARKS[finding.ok], finding.name, finding.detail)
    return table


def _has_accelerator() -> bool:
    try:
        import torch
    except ImportError:
        return False  # which a check will tell
    return torch.cuda.is_available() or importlib.util.find_spec("torch_npu") is not None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what verl and Ray print out of our own output; errors that they log stay visible."""
    os.environ.setdefault("VERL_LOGGING_LEVEL", "WARNING")
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
