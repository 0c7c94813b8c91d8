# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""What the knobs of a run say, checked."""

import math
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from knobs import DEFAULTS, KNOBS, METHODS, OWN, REWARDS

THRESHOLD = "resrl.positive_threshold"


class QuickstartError(Exception):
    """Something the user can put right; the message is one line."""


@dataclass(frozen=True)
class Settings:
    """Validated knobs; paths are absolute.

    Attributes:
        start: which of ours gives problems and model, if the user brings none.
        methods: what to train.
        steps: training steps.
        seed: of everything.
        out: folder of the results.
        prompts: prompts a step.
        rollouts: responses to each prompt.
        mini_batch: prompts of one update.
        lr: learning rate.
        rank: of ResRL's subspace.
        save_every: steps between checkpoints.
        eval_problems: held-out problems.
        eval_samples: responses to each of them.
        max_prompt: tokens.
        max_response: tokens.
        train_files: the user's data, for the user's model, else empty.
        val_files: the user's held-out data, else empty.
        model: the user's model, else None.
        reward_file: the reward function's file, or None for verl's choice by data source.
        verl_args: more settings for verl.
        threshold: a response is right when its score is above, in evaluations as in trainings, which have it of
            ``verl_args``.
    """

    start: str
    methods: tuple[str, ...]
    steps: int
    seed: int
    out: Path
    prompts: int
    rollouts: int
    mini_batch: int
    lr: float
    rank: int
    save_every: int
    eval_problems: int
    eval_samples: int
    max_prompt: int
    max_response: int
    train_files: tuple[Path, ...] = ()
    val_files: tuple[Path, ...] = ()
    model: str | None = None
    reward_file: Path | None = None
    verl_args: tuple[str, ...] = ()
    threshold: float = 0.0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the knobs.

        Args:
            environment: such as ``os.environ``; an empty value counts as not set.

        Raises:
            QuickstartError: a value is out of range or two do not fit together.
        """
        values = {knob.name: environment.get(knob.name, "").strip() or knob.default for knob in KNOBS}
        train, val = (_files(name, values[name]) for name in ("TRAIN_FILES", "VAL_FILES"))
        model = values["MODEL"] or None
        if len({bool(train), bool(val), model is not None}) > 1:
            raise QuickstartError(
                "MODEL, TRAIN_FILES and VAL_FILES go together: START's problems are for its own model, which learns "
                "their form first"
            )
        start = values["START"]
        if start not in REWARDS:
            raise QuickstartError(f"START={start} must be one of {', '.join(REWARDS)}; any other model is a MODEL")
        values |= {k: v for k, v in DEFAULTS[OWN if model else start].items() if not values[k]}
        reward, verl_args = values["REWARD_FILE"], _words("VERL_ARGS", values["VERL_ARGS"])
        prompts, mini_batch = _integer(values, "PROMPTS"), _integer(values, "MINI_BATCH")
        if prompts % mini_batch:
            raise QuickstartError(f"MINI_BATCH={mini_batch} must divide PROMPTS={prompts}")
        return cls(
            start=start,
            methods=_methods(values["METHODS"]),
            steps=_integer(values, "STEPS"),
            seed=_integer(values, "SEED", 0),
            out=Path(values["OUT"]).expanduser().resolve(),
            prompts=prompts,
            rollouts=_integer(values, "ROLLOUTS", 2),
            mini_batch=mini_batch,
            lr=_positive_number(values, "LR"),
            rank=_integer(values, "RANK"),
            save_every=_integer(values, "SAVE_EVERY"),
            eval_problems=_integer(values, "EVAL_PROBLEMS"),
            eval_samples=_integer(values, "EVAL_SAMPLES", 16),
            max_prompt=_integer(values, "MAX_PROMPT"),
            max_response=_integer(values, "MAX_RESPONSE"),
            train_files=train,
            val_files=val,
            model=_absolute_model(model),
            reward_file=Path(reward).expanduser().resolve() if reward else (None if train else REWARDS[start]),
            verl_args=verl_args,
            threshold=_threshold(verl_args),
        )


def _methods(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(text.replace(",", " ").split()))
    for name in names:
        if name not in METHODS:
            raise QuickstartError(f"METHODS: {name!r} is none of {' '.join(METHODS)}")
    return names


def _integer(values: Mapping[str, str], name: str, low: int = 1) -> int:
    if not re.fullmatch("[0-9]{1,12}", values[name]) or int(values[name]) < low:
        raise QuickstartError(f"{name}={values[name]} must be an integer, {low} or more")
    return int(values[name])


def _positive_number(values: Mapping[str, str], name: str) -> float:
    try:
        number = float(values[name])
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise QuickstartError(f"{name}={values[name]} must be a number above 0")
    return number


def _files(name: str, text: str) -> tuple[Path, ...]:
    return tuple(Path(word).expanduser().resolve() for word in _words(name, text))


def _words(name: str, text: str) -> tuple[str, ...]:
    """What a shell would make of it."""
    try:
        return tuple(shlex.split(text))
    except ValueError:
        raise QuickstartError(f"{name}={text} has unbalanced quotes") from None


def _threshold(verl_args: Sequence[str]) -> float:
    given = [argument.partition("=") for argument in verl_args]
    found = [value for name, _, value in given if name.lstrip("+") == THRESHOLD]
    try:
        return float(found[-1]) if found else 0.0
    except ValueError:
        raise QuickstartError(f"VERL_ARGS: {THRESHOLD}={found[-1]} must be a number") from None


def _absolute_model(model: str | None) -> str | None:
    """A folder's absolute path; a hub name as it is."""
    if model is None or not Path(model).expanduser().exists():
        return model
    return str(Path(model).expanduser().resolve())
