# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Run folders -> runs: what one training left, checked."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verl_resrl.runs.files import CONFIG, ORIGIN, RunError, evaluations_folder, read_config, read_metrics

VERL_EXPERIMENT_NAME = "gsm8k"  # verl's default, which names no method
_STEP = re.compile(r"step_(\d+)")


@dataclass(frozen=True)
class Evaluation:
    """One evaluated checkpoint, as ``resrl eval`` left it.

    Attributes:
        step: of training; 0 is the start.
        folder: where its files are.
        settings: how responses were sampled; empty if they were not noted.
        summary: ``{"overall": S, "data_sources": {name: S}}``, checked.
    """

    step: int
    folder: Path
    settings: Mapping[str, Any]
    summary: Mapping[str, Any]

    @property
    def samples_file(self) -> Path:
        """One line a response; it may be missing."""
        return self.folder / "samples.jsonl"

    @property
    def tokens_file(self) -> Path:
        """Negative responses with the weights of their tokens; it may be missing."""
        return self.folder / "tokens.jsonl"


@dataclass(frozen=True)
class Run:
    """One training: a method and a seed.

    Attributes:
        folder: as it was given.
        method: ``trainer.experiment_name``, or the advantage estimator where that is still verl's default.
        seed: ``data.seed``.
        config: verl's composed configuration, flat: ``{"data.seed": 0, ...}``, interpolations not resolved.
        metrics: by step, verl's names. What stands before ``resrl/`` is cut off.
        evaluations: in the order of their steps.
        notes: what is missing, one sentence each.
        origin: commit, versions and machine, where the training noted them.
    """

    folder: Path
    method: str
    seed: int
    config: Mapping[str, Any]
    metrics: Mapping[int, Mapping[str, float]]
    evaluations: tuple[Evaluation, ...]
    notes: tuple[str, ...]
    origin: Mapping[str, Any] | None = None

    @property
    def name(self) -> str:
        """For people: method and seed."""
        return f"{self.method} seed {self.seed}"


def read_runs(folders: Sequence[Path], benchmark: str | None = None) -> list[Run]:
    """Read all runs; their order does not depend on the order of the folders.

    Args:
        folders: of the runs.
        benchmark: whose evaluations to read; None for those on data of one's own.

    Raises:
        RunError: a folder is not one of a run, a file is broken, two runs have the same method and seed, or none was
            evaluated on the benchmark.
    """
    runs: dict[tuple[str, int], Run] = {}
    for folder in folders:
        run = read_run(folder, benchmark)
        other = runs.setdefault((run.method, run.seed), run)
        if other is not run:
            raise RunError(
                f"{folder} and {other.folder} are both {run.name}: leave one out, or train them under different "
                "names (trainer.experiment_name) or seeds (data.seed)"
            )
    if benchmark is not None and not any(run.evaluations for run in runs.values()):
        there = sorted({name for folder in folders for name in _benchmarks(folder)})
        instead = f"there are evaluations on {', '.join(there)}; else " if there else ""
        raise RunError(
            f"--benchmark {benchmark}: no run was evaluated on it; {instead}"
            f"resrl eval --run RUN_DIR --benchmark {benchmark} comes before"
        )
    return [runs[key] for key in sorted(runs)]


def read_run(folder: Path, benchmark: str | None = None) -> Run:
    """Read what one training left.

    Args:
        folder: with verl's configuration in ``hydra/.hydra/config.yaml``, and ``metrics`` and evaluations if any.
        benchmark: whose evaluations to read; None for those on data of one's own.

    Raises:
        RunError: the folder is not one of a run, or a file is broken.
    """
    config = read_config(folder)
    seed = config.get("data.seed")
    if seed is None:
        seed = 0
    if not isinstance(seed, int):
        raise RunError(f"{folder / CONFIG}: data.seed={seed!r} is not an integer")
    method = config.get("trainer.experiment_name")
    if method in (None, VERL_EXPERIMENT_NAME):
        method = config.get("algorithm.adv_estimator")
    if not method:
        raise RunError(
            f"{folder / CONFIG}: neither trainer.experiment_name nor algorithm.adv_estimator says the method"
        )
    metrics = read_metrics(folder)
    evaluations = evaluations_folder(benchmark)
    found, unfinished = _evaluations(folder / evaluations)
    name = f"{method} seed {seed}"
    notes = [
        f"{name}: the evaluation of step {step} has no summary.json (unfinished), left out." for step in unfinished
    ]
    if not metrics:
        notes.append(f"{name}: no training metrics in {folder.name}/metrics, so it has no learning curves.")
    if not found:
        there = _benchmarks(folder) if benchmark is None else []
        hint = f" On benchmarks there are: resrl compare --benchmark {' or '.join(there)}." if there else ""
        notes.append(
            f"{name}: no evaluations in {folder.name}/{evaluations}, so it is only in the training figures.{hint}"
        )
    else:
        if found[0].step != 0:
            notes.append(
                f"{name}: the start was not evaluated, so its path lacks a point: resrl eval --run RUN_DIR --steps 0 "
                "or, where that does not find the model, resrl eval --model MODEL --out RUN_DIR/evaluations/step_0."
            )
        if len(found) == 1:
            notes.append(f"{name}: one evaluated checkpoint, so its frontier is a single point.")
    origin = read_json(folder / ORIGIN, "remove it") if (folder / ORIGIN).is_file() else None
    return Run(folder, str(method), seed, config, metrics, tuple(found), tuple(notes), origin)


def read_json(file: Path, advice: str = "write it again with `resrl eval`") -> Any:
    """Read a JSON file.

    Args:
        file: its path.
        advice: what to do if it is broken.

    Raises:
        RunError: it is not JSON.
    """
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(f"{file} is not JSON ({error}): {advice}") from None


def _benchmarks(folder: Path) -> list[str]:
    """Those that a run was evaluated on, wholly or in part."""
    return sorted({path.parent.name for path in folder.glob("benchmarks/*/step_*")})


def _evaluations(folder: Path) -> tuple[list[Evaluation], list[int]]:
    """Evaluated checkpoints in order, and the steps of unfinished ones."""
    finished, unfinished = [], []
    for path in folder.iterdir() if folder.is_dir() else ():
        match = _STEP.fullmatch(path.name)
        if match is None:
            continue
        step = int(match[1])
        if not (path / "summary.json").is_file():
            unfinished.append(step)
            continue
        summary = read_json(path / "summary.json")
        _check_summary(summary, path / "summary.json")
        settings = read_json(path / "settings.json") if (path / "settings.json").is_file() else {}
        if not isinstance(settings, dict):
            raise RunError(f"{path / 'settings.json'} is not a JSON object: evaluate this step again")
        finished.append(Evaluation(step, path, settings, summary))
    return sorted(finished, key=lambda evaluation: evaluation.step), sorted(unfinished)


def _check_summary(summary: Any, file: Path) -> None:
    def fail(what: str) -> None:
        raise RunError(f"{file}: {what}; evaluate this step again with `resrl eval`")

    if not isinstance(summary, dict) or not isinstance(summary.get("data_sources"), dict) or "overall" not in summary:
        fail("'overall' or 'data_sources' is missing")
    for name, part in [("overall", summary["overall"]), *summary["data_sources"].items()]:
        if not isinstance(part, dict):
            fail(f"{name} is not an object")
        for field in ("num_problems", "num_samples"):
            if not isinstance(part.get(field), int) or part[field] < 1:
                fail(f"{name}.{field}={part.get(field)!r} is not a positive integer")
        if not _is_share(part.get("avg_at_n")):
            fail(f"{name}.avg_at_n has no mean, low and high in [0, 1]")
        if not isinstance(part.get("pass_at_k"), dict) or not part["pass_at_k"]:
            fail(f"{name}.pass_at_k is missing")
        for k, share in part["pass_at_k"].items():
            if not k.isdecimal() or int(k) < 1 or not _is_share(share):
                fail(f"{name}.pass_at_k[{k!r}] has no mean, low and high in [0, 1]")


def _is_share(value: Any) -> bool:
    """Whether it is ``{"mean", "low", "high"}``, each in [0, 1] (to rounding)."""
    if not isinstance(value, dict):
        return False
    numbers = [value.get(name) for name in ("mean", "low", "high")]
    return all(isinstance(x, (int, float)) and math.isfinite(x) and -1e-9 <= x <= 1 + 1e-9 for x in numbers)
