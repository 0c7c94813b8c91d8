# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The knobs of the study: upper-case environment variables. Needs nothing but Python, so that --help is quick."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from variants import FIXED_RATES, SUITES

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "examples" / "quickstart"))

from knobs import FROM_HUB, INSTALL_KNOBS, SMALL, SMOLLM2, Knob  # noqa: E402 (its folder goes on the path first)
from knobs import KNOBS as OF_ONE_RUN  # noqa: E402
from settings import QuickstartError, Settings  # noqa: E402


@dataclass(frozen=True)
class Size:
    """How much to do, and with which model.

    Attributes:
        steps: of each training.
        seeds: trainings of each variant.
        jobs: trainings at a time.
        suite: what is trained unless SUITES says otherwise.
        meaning: for the help.
        knobs: of the quickstart, that say what all trainings have in common; the user's own come on top.
        candidates: training problems of which those are kept that the start sometimes solves; 0 keeps all.
        gpu: whether it would take days without one.
    """

    steps: int
    seeds: int
    jobs: int
    suite: str
    meaning: str
    knobs: Mapping[str, str]
    candidates: int = 0
    gpu: bool = False


_TINY = {"ROLLOUTS": "8", "SAVE_EVERY": "5", "LR": "2e-4", "RANK": "16", "EVAL_PROBLEMS": "100", "EVAL_SAMPLES": "64"}
_PRETRAINED = {"SAVE_EVERY": "10", "EVAL_PROBLEMS": "64", "EVAL_SAMPLES": "16"}
_SMOLLM2 = {**_PRETRAINED, "START": SMOLLM2, "ROLLOUTS": "8"}


def _on_gpu(start: str) -> Size:
    knobs = {**_PRETRAINED, "START": start, "ROLLOUTS": "16"}
    return Size(30, 1, 1, "pretrained", f"{FROM_HUB[start]} on word problems, one NVIDIA GPU", knobs, 400, True)


SIZES = {
    "laptop": Size(20, 3, 2, "methods", "the quickstart's small model, 2 cores, 16 GiB", _TINY),
    "135m": Size(30, 3, 1, "pretrained", "SmolLM2-135M on word problems, 2 cores, 16 GiB", _SMOLLM2, 200),
    "gpu": _on_gpu("qwen3-0.6b"),
    "gpu-1.7b": _on_gpu("qwen3-1.7b"),
}
SMALLEST = "laptop"


def _by_size(field: str) -> str:
    return ", ".join(f"{name} {getattr(size, field)}" for name, size in SIZES.items())


KNOBS = (
    Knob("SIZE", SMALLEST, "; ".join(f"{name}: {size.meaning}" for name, size in SIZES.items())),
    Knob("SUITES", "", f"what to train, any of: {' '.join(SUITES)}; not set: {_by_size('suite')}"),
    Knob("STEPS", "", f"of each training; not set: {_by_size('steps')}"),
    Knob(
        "SEEDS", "", f"trainings of each variant, seeds 0, 1, ...; some suites have one; not set: {_by_size('seeds')}"
    ),
    Knob("JOBS", "", f"trainings at a time; not set: {_by_size('jobs')}"),
    Knob("OUT", "outputs/study", "folder of everything that is written, relative to the current one"),
)
REPLACED = {"METHODS": "SUITES", "SEED": "SEEDS"}  # knobs of one run, and what a study has instead
SHARED = tuple(knob.name for knob in OF_ONE_RUN if knob.name not in {*REPLACED, *(own.name for own in KNOBS)})


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
            QuickstartError: a value is out of range, or two do not fit together.
        """
        values = {knob.name: environment.get(knob.name, "").strip() or knob.default for knob in KNOBS}
        if values["SIZE"] not in SIZES:
            raise QuickstartError(f"SIZE={values['SIZE']} must be one of {', '.join(SIZES)}")
        size = SIZES[values["SIZE"]]
        shared = _shared(environment, values["SIZE"])
        size = replace(size, steps=_count(values, "STEPS", size.steps), knobs={**size.knobs, **shared})
        suites = tuple(dict.fromkeys((values["SUITES"] or size.suite).split()))
        for suite in suites:
            if suite not in SUITES:
                raise QuickstartError(f"SUITES: {suite!r} is none of {', '.join(SUITES)}")
            if suite in FIXED_RATES and values["SIZE"] != SMALLEST:
                raise QuickstartError(f"SUITES: {suite} has learning rates for the small model of SIZE={SMALLEST}")
        settings = cls(
            size,
            suites,
            _count(values, "SEEDS", size.seeds),
            _count(values, "JOBS", size.jobs),
            Path(values["OUT"]).expanduser().resolve(),
        )
        settings.common()  # raises on what the trainings could not use
        return settings

    def common(self, **knobs: object) -> Settings:
        """Settings of the quickstart that its trainings share.

        Args:
            **knobs: further ones.
        """
        own = {"STEPS": self.size.steps, "OUT": self.out}
        return Settings.from_environment({k: str(value) for k, value in {**self.size.knobs, **own, **knobs}.items()})


def _shared(environment: Mapping[str, str], size: str) -> dict[str, str]:
    """What the user says of all trainings."""
    for name, instead in REPLACED.items():
        if environment.get(name, "").strip():
            raise QuickstartError(f"{name} is of one run; a study has {instead}")
    shared = {name: text for name in SHARED if (text := environment.get(name, "").strip())}
    small = "MODEL" not in shared and shared.get("START", SIZES[size].knobs.get("START", SMALL)) == SMALL
    if small != (size == SMALLEST):
        raise QuickstartError(f"SIZE={size}: START={SMALL} goes with SIZE={SMALLEST}, all else with one of the others")
    return shared


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
        "Train variants of ResRL and what it is compared with, several seeds each, on the quickstart's problems",
        "through verl's own trainer; evaluate every checkpoint; write a report for each suite. SUITES=methods takes",
        "about an hour on two cores; SIZE=135m JOBS=2 about five there, and 24 GiB; SIZE=gpu and SIZE=gpu-1.7b are",
        "meant for an hour of a GPU and have not been run. Stop it with Ctrl-C at any time; the same command continues",
        "where it stopped.",
        "",
    ]
    for title, knobs in (("What to run", KNOBS), ("What to install, and for which device", INSTALL_KNOBS)):
        lines += [f"{title}:"]
        lines += [f"  {knob.name:17}{knob.meaning} [{knob.default or 'not set'}]" for knob in knobs]
    lines += ["For all trainings alike, as the quickstart's --help describes them:", f"  {' '.join(SHARED)}"]
    return "\n".join(lines)


if __name__ == "__main__":
    print(help_text())
