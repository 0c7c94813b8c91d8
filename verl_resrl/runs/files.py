# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""What is in the folder of a training: verl's configuration and metrics, and where evaluations are."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

CONFIG = Path("hydra/.hydra/config.yaml")
EVALUATIONS = Path("evaluations")
TRACKER = "latest_checkpointed_iteration.txt"  # verl's note of its newest whole checkpoint, beside its checkpoints
ORIGIN = Path("origin.json")  # commit, versions and machine of a training; whoever starts it may leave it


class RunError(ValueError):
    """Something that the user can mend; the message is one line that says where, what, and what to do."""


def evaluations_folder(benchmark: str | None) -> Path:
    """Where in the folder of a run its evaluations are: those of a benchmark do not mix with others."""
    return EVALUATIONS if benchmark is None else Path("benchmarks") / benchmark


def load_config(folder: Path) -> DictConfig:
    """Load verl's composed configuration, as Hydra left it.

    Args:
        folder: of the run.

    Raises:
        RunError: the folder is not one of a run, or the file is broken.
    """
    file = folder / CONFIG
    if not file.is_file():
        below = sorted(path.parents[2].name for path in folder.glob(f"*/{CONFIG}"))
        hint = f"give the folders inside it ({', '.join(below[:3])}, ...)" if below else "give folders of trainings"
        raise RunError(f"{folder} is not a run folder, it has no {CONFIG}: {hint}")
    try:
        config = OmegaConf.load(file)
    except (OmegaConfBaseException, YAMLError, OSError, UnicodeDecodeError) as error:
        first = str(error).splitlines()[0]
        raise RunError(f"{file} is not a configuration that Hydra wrote ({first}): restore it") from None
    if not isinstance(config, DictConfig):
        raise RunError(f"{file} holds no settings: restore the configuration that Hydra wrote")
    return config


def read_config(folder: Path) -> dict[str, Any]:
    """Read verl's composed configuration.

    Args:
        folder: of the run.

    Returns:
        Flat: ``{"data.seed": 0, ...}``, interpolations not resolved.

    Raises:
        RunError: see ``load_config``.
    """
    content: Any = OmegaConf.to_container(load_config(folder), resolve=False)
    return dict(flat(content))


def read_metrics(folder: Path) -> dict[int, dict[str, float]]:
    """Read what verl's logger "file" wrote; where a step ran in two attempts, the later one counts.

    Args:
        folder: of the run; every attempt has a file in its folder ``metrics``.

    Returns:
        By step, verl's names; what stands before ``resrl/`` is cut off.

    Raises:
        RunError: a line is not one of verl's.
    """
    steps: dict[int, dict[str, float]] = {}
    for file in sorted((folder / "metrics").glob("*.jsonl")):
        with file.open(encoding="utf-8", errors="replace") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    entry = json.loads(line)
                    steps[int(entry["step"])] = {_short(name): float(value) for name, value in entry["data"].items()}
                except (ValueError, TypeError, KeyError, AttributeError) as error:
                    if isinstance(error, json.JSONDecodeError) and next(lines, None) is None:
                        break  # a killed attempt may end in half a line
                    raise RunError(
                        f'{file} line {number} is not {{"step": ..., "data": {{...}}}} ({error!r}): '
                        "remove the line, or the file"
                    ) from None
    return dict(sorted(steps.items()))


def flat(values: Mapping[Any, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Spell nested settings with dots.

    Args:
        values: nested dictionaries.
        prefix: put before every name.
    """
    found = []
    for key, value in values.items():
        if isinstance(value, dict) and value:
            found += flat(value, f"{prefix}{key}.")
        else:
            found.append((f"{prefix}{key}", value))
    return found


def _short(name: str) -> str:
    at = name.find("resrl/")
    return name[at:] if at > 0 else name
