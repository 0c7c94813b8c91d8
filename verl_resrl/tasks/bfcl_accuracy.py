# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Accuracy on BFCL multi-turn as the leaderboard counts it, from the metrics that verl logs of a validation.

python -m verl_resrl.tasks.bfcl_accuracy outputs/function_calling/resrl_Qwen3-4B/metrics.jsonl
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

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


def read_validations(file: Path) -> dict[int, dict[str, float]]:
    """Read the log of verl's logger "file".

    Args:
        file: JSON lines.

    Returns:
        Accuracies of each validation by training step.

    Raises:
        ValueError: there is no validation of all four categories.
    """
    found = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        try:
            found[int(record["step"])] = accuracies(record["data"])
        except KeyError:
            continue  # a step without validation
    if not found:
        raise ValueError(f"{file}: no validation of all of {', '.join(CATEGORIES)}")
    return found


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path, help="metrics.jsonl of a run")
    arguments = parser.parse_args()
    try:
        validations = read_validations(arguments.file)
    except (OSError, ValueError) as error:
        parser.exit(1, f"error: {error}\n")
    names = [*CATEGORIES, "multi_turn_overall"]
    print(" ".join(["step", *names]))
    for step, values in sorted(validations.items()):
        print(" ".join([f"{step:4}", *(f"{100 * values[name]:{len(name)}.2f}" for name in names)]))


if __name__ == "__main__":
    main()
