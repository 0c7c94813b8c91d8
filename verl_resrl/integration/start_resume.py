# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The checkpoint that a run will continue from, looked at before it starts.

FSDP's checkpoints are one file a rank, each with a part of every tensor, and fit a run with as many ranks. The number
of machines that the ranks are on may change.
"""

import re
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from verl_resrl.integration.start_data import StartError
from verl_resrl.runs.files import TRACKER

_CHECKPOINT = re.compile(r"global_step_(\d+)")
_SHARD = re.compile(r"model_world_size_(\d+)_rank_\d+\.pt")


def check_resume(config: DictConfig) -> None:
    """See that the checkpoint which verl noted is there, and compare the ranks that wrote it with those of the run.

    A checkpoint that is named by ``trainer.resume_from_path`` may be on other machines: it is left to verl.

    Args:
        config: verl's, composed.

    Raises:
        StartError: it is gone, as after a kill while verl deleted it, or there are more or fewer ranks.
    """
    folder = checkpoint_of(config)
    if folder is not None and config.trainer.resume_mode == "auto":
        _check_that_it_is_there(folder)
    ranks = config.trainer.nnodes * config.trainer.n_gpus_per_node
    found = {int(match[1]) for file in _files(folder) if (match := _SHARD.fullmatch(file.name))}
    if found and ranks not in found:
        saved = max(found)
        raise StartError(
            f"{folder} was saved by {_ranks(saved)} and this run has {ranks} (trainer.nnodes={config.trainer.nnodes} x "
            f"trainer.n_gpus_per_node={config.trainer.n_gpus_per_node}): set them to {saved} in all to continue, or "
            "trainer.default_local_dir to a new folder, or trainer.resume_mode=disable to start again"
        )


def _check_that_it_is_there(folder: Path) -> None:
    """Verl would start from scratch into the same folder, or end in the middle of loading."""
    others = {
        int(match[1]): path
        for path in folder.parent.glob("global_step_*")
        if (match := _CHECKPOINT.fullmatch(path.name)) and path != folder and _files(path)
    }
    # the parts of the ranks may all be on other machines: then no checkpoint has them here
    if folder.is_dir() and (_files(folder) or not others):
        return
    there = f"the newest that is there: {others[max(others)].name}" if others else "there is no other"
    raise StartError(
        f"{folder}, from which this run would continue, is gone or empty ({there}): put the number of a whole one into "
        f"{folder.parent / TRACKER}, or set trainer.default_local_dir to a new folder, or trainer.resume_mode=disable "
        "to start again"
    )


def checkpoint_of(config: DictConfig) -> Path | None:
    """Tell the folder of the checkpoint that verl will load, None if it will load none.

    Args:
        config: verl's, composed.
    """
    mode = OmegaConf.select(config, "trainer.resume_mode")
    if mode == "resume_path":
        return Path(str(config.trainer.resume_from_path))
    if mode != "auto":
        return None
    checkpoints = Path(str(config.trainer.default_local_dir))
    try:
        return checkpoints / f"global_step_{int((checkpoints / TRACKER).read_text())}"
    except (OSError, ValueError):
        return None


def _files(checkpoint: Path | None) -> list[Path]:
    actor = checkpoint / "actor" if checkpoint is not None else None
    return list(actor.iterdir()) if actor is not None and actor.is_dir() else []


def _ranks(number: int) -> str:
    return "one rank" if number == 1 else f"{number} ranks"
