# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Which models to evaluate, and into which folders: one model, or the checkpoints of training runs."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from verl_resrl.evaluation.run_settings import RunSettings
from verl_resrl.evaluation.settings import EvaluationError
from verl_resrl.runs.files import TRACKER, evaluations_folder


class Target(NamedTuple):
    """One evaluation: what to call it, the model, the folder of its results, and the run that the model is of."""

    name: str
    model: str
    folder: Path
    run: Path | None = None


def checkpoints_of_run(
    run: Path, steps: Sequence[int] = (), start: str | None = None, benchmark: str | None = None
) -> list[Target]:
    """Find the checkpoints of a training run.

    Args:
        run: a folder with verl's checkpoints in ``checkpoints/global_step_N``.
        steps: those wanted; all whole ones if empty.
        start: model that the training started from, which counts as step 0; None if it is not known.
        benchmark: its name, if it is one.

    Returns:
        In the order of the steps; results go to ``run/evaluations/step_N``, or ``run/benchmarks/NAME/step_N``.

    Raises:
        EvaluationError: there are none, or a step that is wanted is not among them.
    """
    folder = run / "checkpoints"
    if not folder.is_dir():
        raise EvaluationError(f"--run: {run} has no folder 'checkpoints' (verl's trainer.default_local_dir)")
    found = {
        int(path.name.removeprefix("global_step_")): path for path in folder.glob("global_step_*") if path.is_dir()
    }
    newest = _newest_whole(folder)
    models = {step: path / "actor" / "huggingface" for step, path in sorted(found.items()) if step <= newest}
    # of older checkpoints verl leaves empty folders (trainer.max_actor_ckpt_to_keep)
    whole = {step: str(model.resolve()) for step, model in models.items() if model.is_dir()}
    whole = {0: start} | whole if start is not None and whole else whole
    missing = [str(step) for step in steps if step not in whole]
    if missing or not whole:
        wanted = f"step {', '.join(missing)} of " if missing else ""
        have = ", ".join(map(str, whole)) or "none; is trainer.save_freq set?"
        raise EvaluationError(f"--run: {wanted}{folder} has no whole checkpoint (it has: {have})")
    return [
        Target(f"{run.resolve().name}/step_{step}", model, run / evaluations_folder(benchmark) / f"step_{step}", run)
        for step, model in whole.items()
        if not steps or step in steps
    ]


def _newest_whole(folder: Path) -> float:
    """Verl writes its note when all of a checkpoint is on disk; without a note, nothing is being written."""
    try:
        return int((folder / TRACKER).read_text())
    except (OSError, ValueError):
        return float("inf")


def single_model(model: str, out: Path | None, benchmark: str | None = None) -> Target:
    """One model; its results go to ``out``, or to ``evaluations/`` and its name (and that of the benchmark).

    Args:
        model: folder or name on the hub.
        out: folder of the results.
        benchmark: its name, if it is one.
    """
    local = Path(model).expanduser()
    if local.exists():
        model = str(local.resolve())
    name = Path(model).name if local.exists() else model
    return Target(name, model, out or Path("evaluations") / re.sub(r"[^\w.-]+", "-", name) / (benchmark or ""))


def find_targets(
    model: str | None,
    runs: Mapping[Path, RunSettings | None],
    steps: Sequence[int],
    out: Path | None,
    benchmark: str | None,
) -> list[Target]:
    """Tell what the command line asks for: one model, or the starts and checkpoints of runs.

    Args:
        model: folder or name on the hub; None for runs.
        runs: folders of trainings and what they say, None where they say nothing.
        steps: those wanted of runs; all if empty.
        out: folder of the results of a model.
        benchmark: its name, if it is one.

    Raises:
        EvaluationError: not one of the two was asked for, or something is not there.
    """
    if (model is None) == (not runs):
        raise EvaluationError("name what to evaluate: either --model MODEL or --run RUN_DIR (see resrl eval --help)")
    if model is not None:
        if steps:
            raise EvaluationError("--steps chooses checkpoints of a --run; with --model there is nothing to choose")
        return [single_model(model, out, benchmark)]
    if out is not None:
        raise EvaluationError("--out goes with --model; the results of a --run go to RUN_DIR")
    targets = []
    for folder, settings in runs.items():
        start = settings.start if settings is not None else None
        targets += checkpoints_of_run(folder, steps, start, benchmark)
    if len({target.name for target in targets}) < len(targets):  # runs of the same name in different folders
        targets = [target._replace(name=str(target.folder)) for target in targets]
    return targets
