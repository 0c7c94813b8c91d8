# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Runs -> the settings in which they differ, so that nobody credits a method with a setting's effect."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from verl_resrl.evaluation.settings import with_defaults
from verl_resrl.report.run_folders import Run
from verl_resrl.runs.files import flat

ABSENT = "(absent)"
NAMES_OF_RUNS = {"trainer.experiment_name", "trainer.default_local_dir"}
# of an evaluation: path and fingerprint of the model differ between checkpoints, as they should; the training's own
# settings of ResRL stand in its configuration
NOT_OF_THE_SAMPLING = ("model", "fingerprints.model", "resrl")
EVALUATION = "evaluation: "
TWO_VALUES = " | "  # between those of one run's evaluations


def differing_settings(runs: Sequence[Run]) -> tuple[list[dict[str, Any]], list[str]]:
    """Compare verl's configurations, and how the evaluations sampled.

    Args:
        runs: all of them.

    Returns:
        Rows ``{"setting", "values": {method: text}}`` for settings that differ between methods; a setting that also
        differs between the seeds of a method lists all its values. Runs without evaluations do not differ in how they
        were evaluated. And the settings that follow the seed alone.
    """
    by_run = [(run.method, run.seed, _settings(run)) for run in runs]
    methods = list(dict.fromkeys(run.method for run in runs))
    rows, of_seed = [], []
    for setting in sorted({name for _, _, settings in by_run for name in settings} - NAMES_OF_RUNS):
        values = {(method, seed): settings.get(setting, ABSENT) for method, seed, settings in by_run}
        compared = {value for value in values.values() if value != ABSENT or not setting.startswith(EVALUATION)}
        if len(compared) == 1 and TWO_VALUES not in "".join(compared):
            continue
        if _follows_seed(values):
            of_seed.append(setting)
            continue
        texts = {
            method: ", ".join(dict.fromkeys(value for (owner, _), value in values.items() if owner == method))
            for method in methods
        }
        rows.append({"setting": setting, "values": texts})
    return rows, of_seed


def _follows_seed(values: Mapping[tuple[str, int], str]) -> bool:
    """Whether all methods have the same value under the same seed, and every seed was given to all methods."""
    by_seed: dict[int, dict[str, str]] = {}
    for (method, seed), value in values.items():
        by_seed.setdefault(seed, {})[method] = value
    methods = {method for method, _ in values}
    return len(by_seed) > 1 and all(
        set(found) == methods and len(set(found.values())) == 1 for found in by_seed.values()
    )


def _settings(run: Run) -> dict[str, str]:
    """Settings as text, with the run's own folder and name taken out of paths."""
    checkpoints = run.config.get("trainer.default_local_dir")
    home = str(PurePosixPath(str(checkpoints)).parent) if checkpoints else None
    settings = {name: _text(value, home) for name, value in run.config.items()}
    for evaluation in run.evaluations:
        for name, value in flat(with_defaults(evaluation.settings)):
            if name in NOT_OF_THE_SAMPLING or name.startswith("resrl."):
                continue
            texts = settings.setdefault(EVALUATION + name, _text(value, home))
            if _text(value, home) not in texts.split(TWO_VALUES):
                settings[EVALUATION + name] = texts + TWO_VALUES + _text(value, home)
    return settings


def _text(value: Any, home: str | None) -> str:
    text = str(value)
    return text.replace(home, "RUN") if home and len(home) > 1 else text
