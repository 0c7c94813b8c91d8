# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Accuracy on BFCL multi-turn as the leaderboard counts it, from the metrics that verl logs of a validation.

python -m verl_resrl.tasks.bfcl_accuracy outputs/function_calling/resrl_Qwen3-4B_seed0
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

from verl_resrl.runs.files import read_metrics
from verl_resrl.tasks.bfcl import CATEGORIES
from verl_resrl.tasks.bfcl_data import SOURCE


def accuracies(metrics: Mapping[str, float]) -> dict[str, float]:
    """Read one validation.

    Args:
        metrics: of verl, by name.

    Returns:
        Accuracy of each category and, as "multi_turn_overall", their unweighted mean, the official metric.

    Raises:
        KeyError: a category was not evaluated.
    """
    found = {}
    for category in CATEGORIES:
        prefix = f"val-core/{SOURCE}_{category}/acc/mean@"
        names = [name for name in metrics if name.startswith(prefix)]
        if not names:
            raise KeyError(category)
        found[category] = float(metrics[names[0]])
    return {**found, "multi_turn_overall": sum(found.values()) / len(found)}


def read_validations(run: Path) -> dict[int, dict[str, float]]:
    """Read what verl's logger "file" wrote.

    Args:
        run: folder of a training, with ``metrics/*.jsonl``.

    Returns:
        Accuracies of each validation by training step.

    Raises:
        ValueError: there is no validation of all four categories.
    """
    found = {}
    for step, metrics in read_metrics(run).items():
        try:
            found[step] = accuracies(metrics)
        except KeyError:
            continue  # a step without validation
    if not found:
        raise ValueError(f"{run}: no validation of all of {', '.join(CATEGORIES)}")
    return found


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path, metavar="RUN_DIR", help="folder of a training, with metrics/*.jsonl")
    arguments = parser.parse_args()
    try:
        validations = read_validations(arguments.run)
    except (OSError, ValueError) as error:
        parser.exit(1, f"error: {error}\n")
    names = [*CATEGORIES, "multi_turn_overall"]
    print(" ".join(["step", *names]))
    for step, values in sorted(validations.items()):
        print(" ".join([f"{step:4}", *(f"{100 * values[name]:{len(name)}.2f}" for name in names)]))


if __name__ == "__main__":
    main()
