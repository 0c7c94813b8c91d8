# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The console script ``resrl``. Commands import what they need when they run, so that ``--help`` is quick."""

import typer

from verl_resrl.doctor import command as installation
from verl_resrl.evaluation import command as evaluation
from verl_resrl.report import command as comparison

app = typer.Typer(
    help="Evaluate, compare and check trainings with ResRL on verl. Each command explains itself: resrl eval --help",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
app.command("eval", help=evaluation.HELP)(evaluation.evaluate)
app.command("compare", help=comparison.HELP)(comparison.compare)
app.command("doctor", help=installation.HELP)(installation.doctor)


if __name__ == "__main__":
    app()
