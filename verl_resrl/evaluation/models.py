# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Which models to evaluate, and into which folders: one model, or the checkpoints of training runs."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from verl_resrl.evaluation.settings import EvaluationError

TRACKER = "latest_checkpointed_iteration.txt"  # verl's note of its newest whole checkpoint


class Target(NamedTuple):
    """One evaluation: what to call it, the model, and the folder of its results."""

    name: str
    model: str
    folder: Path


def checkpoints_of_run(run: Path, steps: Sequence[int] = ()) -> list[Target]:
    """Find the checkpoints of a training run.

    Args:
        run: a folder with verl's checkpoints in ``checkpoints/global_step_N``.
        steps: those wanted; all whole ones if empty.

    Returns:
        In the order of the steps; results go to ``run/evaluations/step_N``.

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
    whole = {step: model for step, model in models.items() if model.is_dir()}
    missing = [str(step) for step in steps if step not in whole]
    if missing or not whole:
        wanted = f"step {', '.join(missing)} of " if missing else ""
        have = ", ".join(map(str, whole)) or "none; is trainer.save_freq set?"
        raise EvaluationError(f"--run: {wanted}{folder} has no whole checkpoint (it has: {have})")
    return [
        Target(f"{run.resolve().name}/step_{step}", str(model.resolve()), run / "evaluations" / f"step_{step}")
        for step, model in whole.items()
        if not steps or step in steps
    ]


def _newest_whole(folder: Path) -> float:
    """Verl writes its note when all of a checkpoint is on disk; without a note, nothing is being written."""
    try:
        return int((folder / TRACKER).read_text())
    except (OSError, ValueError):
        return float("inf")


def single_model(model: str, out: Path | None) -> Target:
    """One model; its results go to ``out``, or to ``evaluations/`` and its name.

    Args:
        model: folder or name on the hub.
        out: folder of the results.
    """
    local = Path(model).expanduser()
    if local.exists():
        model = str(local.resolve())
    name = Path(model).name if local.exists() else model
    return Target(name, model, out or Path("evaluations") / re.sub(r"[^\w.-]+", "-", name))
