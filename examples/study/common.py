# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""What all trainings of a study have in common: problems, the model that they start from, and its evaluation."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
from study_settings import StudySettings

# isort: split
from knobs import SMALL  # of the quickstart, whose folder study_settings puts on the path
from precision import evaluation_dtype
from settings import Settings
from sometimes import ATTEMPTS, keep_sometimes_solved
from starts import STARTS, TEST_FILE, TRAIN_FILE
from trainings import call

from verl_resrl.evaluation.progress import Phases

SEED_OF_THE_START = 0


@dataclass(frozen=True)
class Common:
    """Where it is.

    Attributes:
        train: problems of the trainings.
        test: held-out problems.
        model: that they start from.
        evaluation: of that model on the held-out problems.
    """

    train: Path
    test: Path
    model: Path
    evaluation: Path


def num_phases(settings: StudySettings) -> int:
    """Phases that ``prepare`` takes.

    Args:
        settings: of the study.
    """
    return 2 + STARTS[settings.common().start].num_phases + bool(settings.size.candidates)


def prepare(settings: StudySettings, phases: Phases) -> Common:
    """Make what has not been made yet.

    Args:
        settings: of the study.
        phases: shows the progress.

    Raises:
        QuickstartError: something failed, or the start solves none of the problems.
    """
    own = settings.common(SEED=SEED_OF_THE_START)
    start, data, folder = STARTS[own.start], settings.out / "data", settings.out / "start"
    if (data / TEST_FILE).exists():
        phases.cached(start.problems, str(data))
    else:
        with phases.phase(start.problems):
            data.mkdir(exist_ok=True)
            start.write_data(start.sizes, SEED_OF_THE_START, data)
    model = folder / "model"
    if model.exists():
        for _ in range(start.num_phases):
            phases.cached("start", str(model))
    else:
        folder.mkdir(exist_ok=True)
        start.make_model(data, settings.out, model, SEED_OF_THE_START, phases)
    common = Common(data / TRAIN_FILE, data / TEST_FILE, model, folder / "step_0")
    with phases.phase("evaluation of the start") as phase:
        command = [*evaluation(own, common.test), "--model", str(model), "--out", str(common.evaluation)]
        call(command, folder / "evaluation.log", lambda: phase.waiting("sampling"))
    if not settings.size.candidates:
        return common
    with phases.phase("training problems that the start sometimes solves") as phase:
        train, found = data / "sometimes_solved.parquet", folder / "candidates"
        if not train.exists():
            numbers = {"n": ATTEMPTS, "limit": settings.size.candidates}
            command = [*evaluation(own, common.train, numbers), "--model", str(model), "--out", str(found)]
            call(command, folder / "candidates.log", lambda: phase.waiting("sampling"))
            keep_sometimes_solved(found, train)
        phase.note = f"{pq.read_metadata(train).num_rows} of {settings.size.candidates}"
    return Common(train, common.test, model, common.evaluation)


def evaluation(settings: Settings, data: Path, numbers: dict[str, int] | None = None) -> list[str]:
    """Arguments of ``resrl`` that evaluate something on problems.

    Args:
        settings: of the trainings.
        data: the problems.
        numbers: of responses and problems; by default those of the settings.
    """
    numbers = numbers or {"n": settings.eval_samples, "limit": settings.eval_problems}
    numbers |= {"max-tokens": settings.max_response, "max-prompt-tokens": settings.max_prompt}
    options = [text for name, value in numbers.items() for text in (f"--{name}", str(value))]
    # on a GPU too: vLLM would take longer to start for each checkpoint than so small a model takes to answer
    backend = "hf" if settings.start == SMALL else "auto"
    options += ["--backend", backend, "--dtype", evaluation_dtype(settings)]
    return ["eval", "--data", str(data), "--reward-file", str(settings.reward_file), *options]
