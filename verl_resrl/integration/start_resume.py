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

TRACKER = "latest_checkpointed_iteration.txt"  # verl's note of its newest whole checkpoint
_SHARD = re.compile(r"model_world_size_(\d+)_rank_\d+\.pt")


def check_resume(config: DictConfig) -> None:
    """Compare the ranks that wrote the checkpoint with those of the run. One that is not here is left to verl.

    Args:
        config: verl's, composed.

    Raises:
        StartError: there are more or fewer of them.
    """
    folder = checkpoint_of(config)
    ranks = config.trainer.nnodes * config.trainer.n_gpus_per_node
    found = {int(match[1]) for file in _files(folder) if (match := _SHARD.fullmatch(file.name))}
    if found and ranks not in found:
        saved = max(found)
        raise StartError(
            f"{folder} was saved by {_ranks(saved)} and this run has {ranks} (trainer.nnodes={config.trainer.nnodes} x "
            f"trainer.n_gpus_per_node={config.trainer.n_gpus_per_node}): set them to {saved} in all to continue, or "
            "trainer.default_local_dir to a new folder, or trainer.resume_mode=disable to start again"
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
