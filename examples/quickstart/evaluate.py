# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Held-out evaluation by the code of ``resrl eval``: many responses to each problem, and token weights of some."""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from knobs import SMALL
from precision import evaluation_dtype
from settings import Settings

from verl_resrl.evaluation import evaluate as evaluation
from verl_resrl.evaluation.generate import choose_backend, choose_dtype
from verl_resrl.evaluation.run_settings import read_run_settings
from verl_resrl.evaluation.settings import Settings as EvaluationSettings
from verl_resrl.runs.files import EVALUATIONS
from verl_resrl.statistics.passk import powers_of_two

AVERAGED = 16  # samples of Avg@16
SHOWN = 2  # problems token by token
IDENTITY = EVALUATIONS / "identity"


def evaluate(
    model: str,
    files: Sequence[Path],
    settings: Settings,
    folder: Path,
    step: int,
    identity: str,
    report: Callable[[int, int, str], None],
) -> dict[str, Any]:
    """Sample and judge responses at temperature 1, or finish what a stopped call has begun.

    Every response has a seed of its own, made of ``SEED``, problem and number of the response, so that all models
    get the same luck.

    Args:
        model: Hugging Face model with its tokenizer.
        files: held-out problems in verl's format.
        settings: of the run.
        folder: of the training, or of the start; evaluations of another ``identity`` are deleted there.
        step: of the model.
        identity: of all that the responses depend on, but the model.
        report: called with responses done, responses in all and a note.

    Returns:
        The summary over all problems, as ``resrl eval`` writes it.
    """
    wanted = evaluation_settings(model, files, settings, folder)
    judge = evaluation.check(wanted)
    if not _are_of(folder, identity):
        shutil.rmtree(folder / EVALUATIONS, ignore_errors=True)
        (folder / EVALUATIONS).mkdir(parents=True)
        (folder / IDENTITY).write_text(identity)
    return evaluation.evaluate(wanted, _step(folder, step), judge, report)["overall"]


def sample(
    model: str,
    files: Sequence[Path],
    settings: Settings,
    folder: Path,
    samples: int,
    problems: int,
    report: Callable[[int, int, str], None],
) -> None:
    """Sample and judge other problems, or as many responses to them, as ``evaluate`` does.

    Args:
        model: as ``evaluate`` takes it.
        files: the problems.
        settings: of the run.
        folder: of the results.
        samples: responses to each problem.
        problems: how many of them.
        report: as ``evaluate`` takes it.
    """
    common = evaluation_settings(model, files, settings, folder)
    wanted = replace(common, n=samples, k=(1,), averaged=None, limit=problems, token_weights=0)
    evaluation.evaluate(wanted, folder, evaluation.check(wanted), report)


def finished_evaluation(folder: Path, step: int, identity: str) -> dict[str, Any] | None:
    """What ``evaluate`` has returned before, if it has.

    Args:
        folder: as ``evaluate`` takes it.
        step: of the model.
        identity: as ``evaluate`` takes it.
    """
    file = _step(folder, step) / evaluation.SUMMARY_FILE
    if not _are_of(folder, identity) or not file.exists():
        return None
    return json.loads(file.read_text(encoding="utf-8"))["overall"]


def share_evaluation(source: Path, folder: Path, step: int) -> None:
    """Let a training show the evaluation of the model that it started from.

    Args:
        source: folder of the start.
        folder: of the training.
        step: of the model in both.
    """
    if not _step(folder, step).exists():
        unfinished = folder / EVALUATIONS / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(_step(source, step), unfinished)
        os.replace(unfinished, _step(folder, step))


def _are_of(folder: Path, identity: str) -> bool:
    return (folder / IDENTITY).exists() and (folder / IDENTITY).read_text() == identity


def _step(folder: Path, step: int) -> Path:
    return folder / EVALUATIONS / f"step_{step}"


def evaluation_settings(model: str, files: Sequence[Path], settings: Settings, folder: Path) -> EvaluationSettings:
    """Settings of ``resrl eval``.

    Args:
        model: to evaluate.
        files: held-out problems.
        settings: of the run.
        folder: of the training, whose settings of ResRL weigh the tokens that are shown.
    """
    run = read_run_settings(folder)
    small = settings.start == SMALL and settings.model is None
    return EvaluationSettings(
        model=model,
        data=tuple(map(str, files)),
        n=settings.eval_samples,
        k=tuple(powers_of_two(settings.eval_samples)),
        averaged=AVERAGED,
        max_tokens=settings.max_response,
        max_prompt_tokens=settings.max_prompt,
        seed=settings.seed,
        limit=settings.eval_problems,
        reward_file=str(settings.reward_file) if settings.reward_file else None,
        threshold=settings.threshold,
        # vLLM would take longer to start than so small a model takes to answer
        backend="hf" if small else choose_backend("auto"),
        dtype=choose_dtype(evaluation_dtype(settings)),
        token_weights=SHOWN,
        resrl=run.resrl if run is not None else None,
    )
