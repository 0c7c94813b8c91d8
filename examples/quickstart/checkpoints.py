# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The checkpoints of a training: which of them are whole, and what of them is of use."""

import os
import shutil
from pathlib import Path

from verl_resrl.runs.files import TRACKER


def finished_step(folder: Path) -> int:
    """Tell the newest whole checkpoint of a run, 0 if there is none.

    Args:
        folder: of the run.
    """
    return max((step for step in _checkpoints(folder) if _is_whole(folder, step)), default=0)


def trained_model(folder: Path) -> Path:
    """Where the newest whole checkpoint's model is."""
    return _checkpoint(folder, finished_step(folder)) / "actor" / "huggingface"


def tidy(folder: Path, keep_older: bool) -> None:
    """Leave the newest whole checkpoint and perhaps the older ones, and let verl's note point to the newest.

    Args:
        folder: of the run.
        keep_older: whether to leave the older ones.
    """
    newest = finished_step(folder)
    for step in _checkpoints(folder):
        if step > newest or (step < newest and not keep_older):
            shutil.rmtree(_checkpoint(folder, step))
    tracker = folder / "checkpoints" / TRACKER
    if newest:
        unfinished = tracker.with_suffix(".tmp")
        unfinished.write_text(str(newest))
        os.replace(unfinished, tracker)
    else:
        tracker.unlink(missing_ok=True)


def keep_weights_of_older(folder: Path) -> None:
    """A training continues from the newest whole checkpoint; those before it are evaluated alone.

    Args:
        folder: of the run.
    """
    newest = finished_step(folder)
    for step in _checkpoints(folder):
        if step < newest:
            keep_weights(folder, step)


def keep_weights(folder: Path, step: int) -> None:
    """Of a checkpoint, keep what is evaluated: no training can continue from it any more.

    Args:
        folder: of the run.
        step: of the checkpoint.
    """
    checkpoint = _checkpoint(folder, step)
    for path in [*checkpoint.iterdir(), *(checkpoint / "actor").iterdir()]:
        if path.is_dir() and path.name not in ("actor", "huggingface"):
            shutil.rmtree(path)
        elif path.is_file():
            path.unlink()


def _checkpoints(folder: Path) -> list[int]:
    names = (path.name for path in (folder / "checkpoints").glob("global_step_*"))
    return [int(name.rsplit("_", 1)[1]) for name in names]


def _checkpoint(folder: Path, step: int) -> Path:
    return folder / "checkpoints" / f"global_step_{step}"


def _is_whole(folder: Path, step: int) -> bool:
    """Verl notes a checkpoint after all of it is written; every older one had been whole before."""
    steps = _checkpoints(folder)
    try:
        whole = step <= int((folder / "checkpoints" / TRACKER).read_text())
    except (OSError, ValueError):  # no note, or killed while writing it
        whole = step < max(steps)
    return whole and (_checkpoint(folder, step) / "actor" / "huggingface" / "config.json").is_file()
