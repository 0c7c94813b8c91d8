# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""``resrl compare``: what several trainings say about their methods, as one page."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from verl_resrl.runs.files import RunError

BASELINE = "grpo"
HELP = """Compare trainings of several methods and seeds on one HTML page.

The page needs no network: learning curves, Pass@k, the frontier of Avg@n against Pass@k over checkpoints with a
comparison at the same Avg, paired differences with p-values, diagnostics of ResRL, the settings that differ, and a
viewer of single responses with the weight of each token. Beside it: the numbers (comparison.json) and images.

Every checkpoint of some runs, and the start of each, is evaluated by one command before:

    resrl eval --run outputs/grpo-0 --run outputs/resrl-0 --data test.parquet

Every run of a study, GRPO as the baseline:

    resrl compare outputs/study/runs/*

Two runs, another folder for the results:

    resrl compare outputs/grpo-0 outputs/resrl-0 --out outputs/comparison

A RUN_DIR is the folder of one training; the scripts in examples/ leave such folders. Your own training does if
hydra.run.dir=RUN_DIR/hydra, trainer.default_local_dir=RUN_DIR/checkpoints, trainer.logger has 'file', the environment
has VERL_FILE_LOGGER_PATH=RUN_DIR/metrics/0000.jsonl (0001 when it is continued: verl empties the file at its start),
and actor_rollout_ref.actor.checkpoint.save_contents has 'hf_model', the weights that resrl eval reads:

    hydra/.hydra/config.yaml  verl's configuration
    metrics/NNNN.jsonl        verl's log
    evaluations/step_N/       what resrl eval wrote for the checkpoint of step N; step_0 is the start
    benchmarks/NAME/step_N/   what resrl eval --benchmark NAME wrote

The method is trainer.experiment_name, the seed data.seed. Metrics or evaluations may be missing: the page says so. For
differences that can be trusted, train every method under the same seeds, and evaluate several checkpoints of each on
the same problems.
"""


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
    benchmark: Annotated[
        str | None,
        typer.Option(help="Compare what resrl eval --benchmark NAME wrote.", metavar="NAME", show_default=False),
    ] = None,
) -> None:
    """Compare trainings; see ``HELP``."""
    console = Console(stderr=True)
    try:
        # only now: these take seconds to import, and other commands of resrl must work without them
        from verl_resrl.report.write import write_comparison

        files, notes = write_comparison(run_dirs, out, baseline or BASELINE, baseline is not None, console, benchmark)
    except (RunError, ModuleNotFoundError) as error:
        hint = ": install it with pip install 'verl_resrl[eval]'" if isinstance(error, ModuleNotFoundError) else ""
        console.print(f"error: {error}{hint}", style="red", highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
    for note in notes:
        console.print(f"note: {note}", highlight=False, markup=False, soft_wrap=True)
    for file in files:
        typer.echo(file)
