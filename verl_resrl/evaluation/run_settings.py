# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""A training's configuration -> what its evaluation takes from there unless told otherwise."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from verl_resrl.algorithm.config import ResRLConfig
from verl_resrl.evaluation.context import context_of
from verl_resrl.evaluation.settings import HUB_NAME, EvaluationError, named_file
from verl_resrl.runs.files import CONFIG, RunError, load_config

REWARD = "reward.custom_reward_function"


@dataclass(frozen=True)
class RunSettings:
    """What a training says about its evaluation.

    Attributes:
        model: that it started from: a folder, or a name on the hub; None if the configuration does not say.
        reward_file: Python file of its reward function, which may not be here; None for verl's choice by data source.
        reward_name: name of the function in the file.
        reward_kwargs: its further arguments.
        threshold: a response is right when its score is above.
        resrl: fields of ``ResRLConfig``; None if the training does not weigh tokens.
    """

    model: str | None
    reward_file: str | None = None
    reward_name: str = "compute_score"
    reward_kwargs: Mapping[str, Any] | None = None
    threshold: float = 0.0
    resrl: Mapping[str, Any] | None = None

    @cached_property
    def start(self) -> str | None:
        """The model, if it is here or can be had from the hub."""
        if self.model is None or Path(self.model).is_dir():
            return self.model
        if not HUB_NAME.fullmatch(self.model):
            return None
        try:
            context_of(self.model)
        except EvaluationError:  # a relative path from elsewhere looks like a name, and there may be no network
            return None
        return self.model

    def options(self, given: Collection[str]) -> dict[str, Any]:
        """Settings of an evaluation that follow.

        Args:
            given: options that were given otherwise, which win.
        """
        options: dict[str, Any] = {"resrl": self.resrl}
        if "threshold" not in given:
            options["threshold"] = self.threshold
        if "reward_file" not in given:
            options |= {name: getattr(self, name) for name in ("reward_file", "reward_name", "reward_kwargs")}
        return options


def read_run_settings(run: Path) -> RunSettings | None:
    """Read the configuration that Hydra left in the folder of a training.

    Args:
        run: its folder.

    Returns:
        What it says; None if there is no configuration.

    Raises:
        EvaluationError: it is broken.
    """
    file = run / CONFIG
    if not file.is_file():
        return None
    try:
        config = load_config(run)
        reward: Any = OmegaConf.select(config, REWARD)
        reward = OmegaConf.to_container(reward, resolve=True) if reward is not None else {}
        weighs = OmegaConf.select(config, "actor_rollout_ref.model.model_type") == "resrl"
        model: Any = OmegaConf.select(config, "actor_rollout_ref.model.path")
        return RunSettings(
            model=_here(run, str(model)) if model is not None else None,
            reward_file=_file(run, reward["path"]) if reward.get("path") else None,
            reward_name=reward.get("name") or "compute_score",
            reward_kwargs=reward.get("reward_kwargs") or None,
            threshold=_threshold(config),
            resrl=_of_resrl(config) if weighs else None,
        )
    except RunError as error:  # names the file itself
        raise EvaluationError(f"--run: {error}") from None
    except (OmegaConfBaseException, ValueError) as error:
        raise EvaluationError(f"--run: {file}: {str(error).splitlines()[0]}") from None


def _threshold(config: DictConfig) -> float:
    value: Any = OmegaConf.select(config, "resrl.positive_threshold", default=0.0)
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"resrl.positive_threshold={value!r} must be a number") from None


def _of_resrl(config: DictConfig) -> dict[str, Any]:
    given: Any = OmegaConf.to_container(config.resrl, resolve=True)
    known = {field.name for field in fields(ResRLConfig)}
    values = {name: value for name, value in given.items() if name in known}
    ResRLConfig(**values)  # checks them
    return values


def _file(run: Path, path: str) -> str:
    """The Python file that is meant; the text itself where it is a module that is not installed here."""
    try:
        return _here(run, named_file(path))
    except EvaluationError:
        return path


def _here(run: Path, path: str) -> str:
    """A path as the training meant it, which was relative to the folder that it ran in."""
    hydra = run / CONFIG.with_name("hydra.yaml")
    folder = OmegaConf.select(OmegaConf.load(hydra), "hydra.runtime.cwd") if hydra.is_file() else None
    absolute = Path(folder or ".") / Path(path).expanduser()
    return str(absolute.resolve()) if absolute.exists() else path
