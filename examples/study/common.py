# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""What all trainings of a study have in common: problems, the model that they start from, and its evaluation."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from study_settings import StudySettings

# isort: split
from knobs import SMALL  # of the quickstart, whose folder study_settings puts on the path
from precision import evaluation_dtype
from settings import Settings
from sometimes import ATTEMPTS, keep_sometimes_solved, num_kept
from starts import STARTS, TEST_FILE, TRAIN_FILE
from trainings import call

from verl_resrl.evaluation.progress import Phases

SEED_OF_THE_START = 0


@dataclass(frozen=True)
class Common:
    """Where it is.

    Attributes:
        train: files of the trainings' problems.
        test: files of the held-out problems.
        model: folder, or name on the hub, of what they start from.
        evaluation: of that model on the held-out problems.
    """

    train: tuple[Path, ...]
    test: tuple[Path, ...]
    model: str
    evaluation: Path


def num_phases(settings: StudySettings) -> int:
    """Phases that ``prepare`` takes.

    Args:
        settings: of the study.
    """
    own = settings.common()
    ours = 1 + STARTS[own.start].num_phases if own.model is None else 0
    return ours + 1 + bool(settings.size.candidates)


def prepare(settings: StudySettings, phases: Phases) -> Common:
    """Make what has not been made yet.

    Args:
        settings: of the study.
        phases: shows the progress.

    Raises:
        QuickstartError: something failed, or the start solves none of the problems.
    """
    own, folder = settings.common(SEED=SEED_OF_THE_START), settings.out / "start"
    folder.mkdir(exist_ok=True)
    if own.model is None:
        train, test, model = _make(own, settings.out, folder / "model", phases)
    else:
        train, test, model = own.train_files, own.val_files, own.model
    common = Common(train, test, model, folder / "step_0")
    with phases.phase("evaluation of the start") as phase:
        command = [*evaluation(own, test), "--model", model, "--out", str(common.evaluation)]
        call(command, folder / "evaluation.log", lambda: phase.waiting("sampling"))
    if not settings.size.candidates:
        return common
    with phases.phase("training problems that the start sometimes solves") as phase:
        kept, found = folder / "sometimes_solved.parquet", folder / "candidates"
        if not kept.exists():
            numbers = {"n": ATTEMPTS, "limit": settings.size.candidates}
            command = [*evaluation(own, train, numbers), "--model", model, "--out", str(found)]
            call(command, folder / "candidates.log", lambda: phase.waiting("sampling"))
            keep_sometimes_solved(found, kept)
        phase.note = f"{num_kept(kept, own.prompts)} of {settings.size.candidates}"
    return replace(common, train=(kept,))


def _make(own: Settings, out: Path, model: Path, phases: Phases) -> tuple[tuple[Path, ...], tuple[Path, ...], str]:
    """Our problems, and the model that has learned their form."""
    start, data = STARTS[own.start], out / "data"
    if (data / TEST_FILE).exists():
        phases.cached(start.problems, str(data))
    else:
        with phases.phase(start.problems):
            data.mkdir(exist_ok=True)
            start.write_data(start.sizes, SEED_OF_THE_START, data)
    if model.exists():
        for _ in range(start.num_phases):
            phases.cached("start", str(model))
    else:
        start.make_model(data, out, model, SEED_OF_THE_START, phases)
    return (data / TRAIN_FILE,), (data / TEST_FILE,), str(model)


def evaluation(settings: Settings, data: Sequence[Path], numbers: dict[str, int] | None = None) -> list[str]:
    """Arguments of ``resrl`` that evaluate something on problems.

    Args:
        settings: of the trainings.
        data: files of the problems.
        numbers: of responses and problems; by default those of the settings.
    """
    numbers = numbers or {"n": settings.eval_samples, "limit": settings.eval_problems}
    numbers |= {"max-tokens": settings.max_response, "max-prompt-tokens": settings.max_prompt}
    options = [text for name, value in numbers.items() for text in (f"--{name}", str(value))]
    # on a GPU too: vLLM would take longer to start for each checkpoint than so small a model takes to answer
    backend = "hf" if settings.start == SMALL and settings.model is None else "auto"
    options += ["--backend", backend, "--dtype", evaluation_dtype(settings)]
    options += [] if settings.reward_file is None else ["--reward-file", str(settings.reward_file)]
    options += [f"--threshold={settings.threshold}"]
    return ["eval", *(text for file in data for text in ("--data", str(file))), *options]
