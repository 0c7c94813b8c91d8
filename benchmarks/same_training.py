# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Whether two trainings are the same to the bit: the weights they end with, and the metrics of every step."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

# times and memory; what compares the rollout's probabilities with the actor's, which varies by a rounding; and what
# ranks send each other: which rank fits a group's subspace follows from verl's name of the prompt, which is random
VARIES = (
    "timing",
    "perf/",
    "resrl/seconds",
    "resrl/peak_gb_max",
    "resrl/exchange_",
    "rollout_corr/",
    "training/rollout_",
)


@dataclass(frozen=True)
class Comparison:
    """What was compared and found.

    Attributes:
        step: of the checkpoints.
        tensors: number of the model's tensors.
        differing: names of the tensors that differ in any bit.
        largest: the largest difference of two numbers in them.
        steps: whose metrics were compared.
        metrics: names that differ in a step, of those that can be equal.
    """

    step: int
    tensors: int
    differing: tuple[str, ...]
    largest: float
    steps: tuple[int, ...]
    metrics: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not self.differing and not self.metrics

    def lines(self) -> list[str]:
        """Say it."""
        equal = self.tensors - len(self.differing)
        difference = f", largest difference {self.largest:.3g}" if self.differing else ""
        names = f": {', '.join(self.metrics)}" if self.metrics else ""
        return [
            f"weights after step {self.step}: {equal} of {self.tensors} tensors equal to the bit{difference}",
            f"metrics of steps {', '.join(map(str, self.steps))}: {len(self.metrics)} differ{names}",
        ]


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> set[str]:
    """Names of the metrics that differ between steps that should be equal to the bit.

    Args:
        first: metrics of a step.
        second: those of the same step of the other training.
    """
    names = first.keys() | second.keys()
    return {name for name in names if first.get(name) != second.get(name) and not any(v in name for v in VARIES)}


def steps_of(folder: Path) -> dict[int, dict[str, Any]]:
    """What all attempts of a training have logged: metrics by step, of the last attempt that made it.

    Args:
        folder: of the training.
    """
    files = sorted((folder / "metrics").glob("*.jsonl"))
    entries = [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    return {entry["step"]: entry["data"] for entry in entries}


def compare(first: Path, second: Path, step: int) -> Comparison:
    """Compare two trainings.

    Args:
        first: folder of one.
        second: folder of the other.
        step: both have a checkpoint of it.
    """
    ours, theirs = (_weights(folder, step) for folder in (first, second))
    assert ours.keys() == theirs.keys()
    differing = sorted(name for name in ours if not torch.equal(ours[name], theirs[name]))
    largest = max((float((ours[name] - theirs[name]).abs().max()) for name in differing), default=0.0)
    one, other = steps_of(first), steps_of(second)
    steps = sorted(one.keys() | other.keys())
    metrics = {name for number in steps for name in differences(one.get(number, {}), other.get(number, {}))}
    return Comparison(step, len(ours), tuple(differing), largest, tuple(steps), tuple(sorted(metrics)))


def _weights(folder: Path, step: int) -> dict[str, torch.Tensor]:
    return load_file(folder / "checkpoints" / f"global_step_{step}" / "actor" / "huggingface" / "model.safetensors")
