# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Names of results: fingerprints of all settings and sources that they depend on, so that they are never mixed up.

The user's files count by path, size and time, or by their content where they are code.
"""

import hashlib
from dataclasses import replace
from pathlib import Path

from fingerprints import file_states, fingerprint, source_fingerprint
from knobs import ROOT
from precision import evaluation_dtype
from settings import Settings
from sometimes import ATTEMPTS
from starts import STARTS

HERE = Path(__file__).resolve().parent
PACKAGE = ROOT / "verl_resrl"


def data_id(settings: Settings) -> str:
    """Name the problems.

    Args:
        settings: of the run.
    """
    files = file_states([*settings.train_files, *settings.val_files])
    if files:
        return fingerprint(files=files)
    sources = [HERE / "starts.py", *STARTS[settings.start].data_sources]
    return fingerprint(start=settings.start, seed=settings.seed, code=source_fingerprint(sources))


def start_id(settings: Settings) -> str:
    """Name the model to start from.

    Args:
        settings: of the run.
    """
    if settings.model is not None:
        return fingerprint(model=settings.model, files=file_states(sorted(Path(settings.model).glob("*"))))
    code = source_fingerprint(STARTS[settings.start].model_sources)
    return fingerprint(model={"data": data_id(settings), "seed": settings.seed, "code": code})


def candidates_id(settings: Settings, gpu: bool) -> str | None:
    """Name the choice of the problems that the start sometimes solves; it lies in the folder of the start.

    Args:
        settings: of the run.
        gpu: whether there is a GPU to use.

    Returns:
        Its name; None if all problems are taken.
    """
    candidates = STARTS[settings.start].candidates if settings.model is None else 0
    if not candidates:
        return None
    return fingerprint(
        numbers=[ATTEMPTS, candidates, settings.max_prompt, settings.max_response, settings.threshold],
        reward=reward_id(settings),
        device=_device(settings, gpu),
        code=_code_of_evaluation("sometimes.py"),
    )


def training_id(method: str, settings: Settings, gpu: bool) -> str:
    """Name the training of a method by what verl is told, but for the number of steps and where it writes.

    Args:
        method: what is trained.
        settings: of the run.
        gpu: whether there is a GPU to use.
    """
    from training import verl_command

    same = replace(settings, steps=1, save_every=1)
    command = verl_command(method, same, "", [], [], Path(), gpu)
    package = [*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.yaml")]
    return fingerprint(
        start=start_id(settings),
        data=data_id(settings),
        reward=reward_id(settings),
        candidates=candidates_id(settings, gpu),
        command=command[1:],  # without the Python
        code=source_fingerprint(sorted(file for file in package if PACKAGE / "evaluation" not in file.parents)),
    )


def evaluation_id(settings: Settings, gpu: bool) -> str:
    """Name what the evaluations of all models have in common; each lies in the folder of its model.

    Args:
        settings: of the run.
        gpu: whether there is a GPU to use.
    """
    s = settings
    return fingerprint(
        data=data_id(s),
        numbers=[s.seed, s.eval_problems, s.eval_samples, s.max_prompt, s.max_response, s.threshold],
        reward=reward_id(s),
        device=_device(s, gpu),
        code=_code_of_evaluation(),
    )


def _code_of_evaluation(*own: str) -> str:
    """Name the sources of responses and their rewards.

    Args:
        *own: further files of this folder.
    """
    generator = [PACKAGE / "cpu" / name for name in ("attention.py", "generate.py")]
    files = [HERE / "evaluate.py", *sorted((PACKAGE / "evaluation").glob("*.py")), *generator]
    return source_fingerprint([*files, *(HERE / name for name in own)])


def _device(settings: Settings, gpu: bool) -> str:
    """What evaluations run on, and in which precision."""
    return "gpu" if gpu else evaluation_dtype(settings)


def reward_id(settings: Settings) -> str | None:
    """Name the reward function by its file and what is in it; None where verl chooses.

    Args:
        settings: of the run.
    """
    file = settings.reward_file
    return None if file is None else fingerprint(file=file, content=hashlib.sha256(file.read_bytes()).hexdigest())
