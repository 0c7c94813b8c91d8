# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The knobs of the study: upper-case environment variables. Needs nothing but Python, so that --help is quick."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from variants import SUITES

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "examples" / "quickstart"))

from settings import INSTALL_KNOBS, Knob, QuickstartError  # noqa: E402 (its folder goes on the path first)


@dataclass(frozen=True)
class Size:
    """How much to do.

    Attributes:
        steps: of each training.
        rollouts: responses to each of the 16 prompts of a step.
        save_every: steps between checkpoints, all of which are evaluated.
        seeds: trainings of each variant.
        jobs: trainings at a time.
        meaning: for the help.
    """

    steps: int
    rollouts: int
    save_every: int
    seeds: int
    jobs: int
    meaning: str


SIZES = {
    "laptop": Size(20, 8, 5, 3, 2, "2 cores, 16 GiB"),
    "gpu": Size(40, 16, 10, 3, 1, "one NVIDIA GPU"),
}
SMALL = "laptop"


def _by_size(field: str) -> str:
    return ", ".join(f"{name} {getattr(size, field)}" for name, size in SIZES.items())


LR, RANK = 2e-4, 16
EVAL_PROBLEMS, EVAL_SAMPLES = 100, 64
KNOBS = (
    Knob("SIZE", SMALL, "; ".join(f"{name}: {size.meaning}" for name, size in SIZES.items())),
    Knob("SUITES", "methods", f"what to train, any of: {' '.join(SUITES)}; or all"),
    Knob("STEPS", "", f"of each training; not set: {_by_size('steps')}"),
    Knob("SEEDS", "", f"trainings of each variant, with the seeds 0, 1, ...; not set: {_by_size('seeds')}"),
    Knob("JOBS", "", f"trainings at a time; not set: {_by_size('jobs')}"),
    Knob("OUT", "outputs/study", "folder of everything that is written, relative to the current one"),
)


@dataclass(frozen=True)
class StudySettings:
    """Validated knobs.

    Attributes:
        size: how much to do.
        suites: what to train.
        seeds: trainings of each variant.
        jobs: trainings at a time.
        out: absolute path of the results.
    """

    size: Size
    suites: tuple[str, ...]
    seeds: int
    jobs: int
    out: Path

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "StudySettings":
        """Read the knobs.

        Args:
            environment: such as ``os.environ``; an empty value counts as not set.

        Raises:
            QuickstartError: a value is out of range.
        """
        values = {knob.name: environment.get(knob.name, "").strip() or knob.default for knob in KNOBS}
        if values["SIZE"] not in SIZES:
            raise QuickstartError(f"SIZE={values['SIZE']} must be one of {', '.join(SIZES)}")
        size = SIZES[values["SIZE"]]
        size = replace(size, steps=_count(values, "STEPS", size.steps))
        suites = tuple(SUITES) if values["SUITES"] == "all" else tuple(dict.fromkeys(values["SUITES"].split()))
        for suite in suites:
            if suite not in SUITES:
                raise QuickstartError(f"SUITES: {suite!r} is none of {', '.join(SUITES)}, all")
        return cls(
            size,
            suites,
            _count(values, "SEEDS", size.seeds),
            _count(values, "JOBS", size.jobs),
            Path(values["OUT"]).expanduser().resolve(),
        )


def _count(values: Mapping[str, str], name: str, default: int) -> int:
    text = values[name] or str(default)
    if not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise QuickstartError(f"{name}={text} must be an integer in [1, 1000]")
    return int(text)


def help_text() -> str:
    """Describe the command and its knobs."""
    lines = [
        "Usage: [KNOB=value ...] bash examples/study/run.sh [--help]",
        "",
        "Train variants of ResRL and what it is compared with, several seeds each, on the quickstart's puzzles through",
        "verl's own trainer; evaluate every checkpoint; write a report for each suite. SUITES=methods takes about an",
        "hour on two cores; SIZE=gpu has not been timed. Stop it with Ctrl-C at any time; the same command",
        "continues where it stopped.",
        "",
    ]
    for title, knobs in (("What to run", KNOBS), ("What to install, and for which device", INSTALL_KNOBS)):
        lines += [f"{title}:"]
        lines += [f"  {knob.name:16}{knob.meaning} [{knob.default or 'not set'}]" for knob in knobs]
    return "\n".join(lines)


if __name__ == "__main__":
    print(help_text())
