# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""What a run starts from: a small model made from scratch on puzzles, or a pretrained one on word problems."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fingerprints import source_fingerprint
from knobs import COUNTDOWN, FROM_HUB, ROOT, SMALL, SMOLLM2, WORD_PROBLEMS
from settings import QuickstartError
from smollm2 import PARAMETERS

from verl_resrl.evaluation.progress import Phases

HERE = Path(__file__).resolve().parent
# The start learns from all problems; reinforcement learning sees the first ones again and again, so that its rewards
# can be compared from pass to pass: 10 steps a pass with the puzzles' default of 16 prompts a step.
START_FILE, TRAIN_FILE, TEST_FILE = "warm_start.parquet", "train.parquet", "test.parquet"


@dataclass(frozen=True)
class Start:
    """One of them.

    Attributes:
        parameters: of the model.
        problems: what they are called.
        sizes: problems to start with, of these for reinforcement learning, and held out.
        data_sources: source files that the data depends on, beside this one.
        model_sources: source files that the model depends on, beside the data.
        write_data: called with the three numbers, a seed and a folder; writes the three files.
        make_model: called with the folder of the data, a folder for what is downloaded, that of the model, a seed, and
            the phases, of which it takes ``num_phases``.
        num_phases: of ``make_model``.
        candidates: first problems for reinforcement learning of which those are taken that the model sometimes solves;
            0 takes all.
    """

    parameters: int
    problems: str
    sizes: tuple[int, int, int]
    data_sources: tuple[Path, ...]
    model_sources: tuple[Path, ...]
    write_data: Callable[[tuple[int, int, int], int, Path], None]
    make_model: Callable[[Path, Path, Path, int, Phases], None]
    num_phases: int
    candidates: int


def _write_puzzles(sizes: tuple[int, int, int], seed: int, folder: Path) -> None:
    from verl_resrl.tasks.countdown_data import generate_problems, write_parquet

    start, train, test = sizes
    problems, held_out = generate_problems(start, test, seed)
    write_parquet(problems, "train", folder / START_FILE)
    write_parquet(problems[:train], "train", folder / TRAIN_FILE)
    write_parquet(held_out, "test", folder / TEST_FILE)


def _make_small(data: Path, _: Path, model: Path, seed: int, phases: Phases) -> None:
    from warm_start import warm_start

    with phases.phase("warm start") as phase:
        warm_start(data / START_FILE, model, seed, phase.update)


def _write_word_problems(sizes: tuple[int, int, int], seed: int, folder: Path, events: int, scale: int) -> None:
    from verl_resrl.tasks.word_problems_data import generate_problems, write_parquet

    start, train, test = sizes
    problems, held_out = generate_problems(start + train, test, seed, events, scale)
    # what it has been shown teaches it nothing more
    write_parquet(problems[train:], "train", folder / START_FILE, seed)
    write_parquet(problems[:train], "train", folder / TRAIN_FILE, seed)
    write_parquet(held_out, "test", folder / TEST_FILE, seed)


def _make_smollm2(data: Path, downloads: Path, model: Path, seed: int, phases: Phases) -> None:
    from smollm2 import make_smollm2
    from supervised import supervised_start

    pretrained = downloads / f"{SMOLLM2}-{source_fingerprint([HERE / 'smollm2.py'])}"
    if pretrained.exists():
        phases.cached("pretrained model", str(pretrained))
    else:
        with phases.phase("pretrained model, 93 MB to download") as phase:
            make_smollm2(pretrained, phase.waiting)
    with phases.phase("supervised start") as phase:
        supervised_start(pretrained, data / START_FILE, model, seed, phase.update)


def _make_from_hub(name: str, data: Path, _: Path, model: Path, seed: int, phases: Phases) -> None:
    from huggingface_hub import snapshot_download
    from supervised import supervised_start

    with phases.phase(f"supervised start of {name}") as phase:
        phase.waiting("downloading")
        try:
            snapshot_download(name)
        except Exception as error:  # of the hub, the network and the disk
            reason = " ".join(str(error).split())[:300]
            raise QuickstartError(f"START: {name} cannot be had from the hub ({reason})") from None
        supervised_start(name, data / START_FILE, model, seed, phase.update)


def _of_hub(parameters: int, name: str) -> Start:
    """Longer stories and larger numbers: it is to be sometimes right after its supervised start, and no more."""
    return Start(
        parameters,
        "word problems",
        (640, 600, 256),
        WORD_PROBLEM_SOURCES,
        (HERE / "supervised.py",),
        partial(_write_word_problems, events=7, scale=8),
        partial(_make_from_hub, name),
        num_phases=1,
        candidates=400,
    )


HUB_PARAMETERS = {"qwen3-0.6b": 596_049_920, "qwen3-1.7b": 1_720_574_976}
TASKS = ROOT / "verl_resrl" / "tasks"
PUZZLE_SOURCES = (COUNTDOWN, TASKS / "countdown_data.py", TASKS / "countdown_solver.py", TASKS / "rows.py")
WORD_PROBLEM_SOURCES = (WORD_PROBLEMS, TASKS / "word_problems_data.py", TASKS / "rows.py")
STARTS = {
    SMALL: Start(
        800_000,
        "puzzles",
        (1500, 160, 512),
        PUZZLE_SOURCES,
        (HERE / "warm_start.py", *PUZZLE_SOURCES),
        _write_puzzles,
        _make_small,
        num_phases=1,
        candidates=0,
    ),
    SMOLLM2: Start(
        PARAMETERS,
        "word problems",
        (640, 200, 256),
        WORD_PROBLEM_SOURCES,
        (HERE / "smollm2.py", HERE / "supervised.py"),
        partial(_write_word_problems, events=3, scale=1),
        _make_smollm2,
        num_phases=2,
        candidates=64,
    ),
    **{start: _of_hub(HUB_PARAMETERS[start], name) for start, name in FROM_HUB.items()},
}
