# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""``tokens.jsonl`` -> negative responses with a weight for each token, beside a positive response."""

import json
import math
from collections.abc import Sequence
from typing import Any

from verl_resrl.report.run_folders import Evaluation, Run
from verl_resrl.runs.files import RunError

SHOWN_PROBLEMS = 20  # of each run, so that the page stays small
AS_TRAINED = "as trained"
ROUNDING = 1e-6  # weights are float32


def token_views(runs: Sequence[Run]) -> tuple[list[dict[str, Any]], list[str]]:
    """Read the token weights of each run's last checkpoint that has any.

    Args:
        runs: all of them.

    Returns:
        For each such run ``{"name", "step", "problems": [{"problem", "prompt", "negative": {"tokens", "weights",
        "residuals", "interferences"}, "positive": {"tokens"}, "weighed"}]}``: ``weights`` by what they come from,
        "as trained" first, ``weighed`` a sentence, scores that are not finite or not on record None; and notes of what
        was left out.

    Raises:
        RunError: a line is broken.
    """
    views, notes = [], []
    for run in runs:
        with_tokens = [evaluation for evaluation in run.evaluations if evaluation.tokens_file.is_file()]
        if not with_tokens:
            continue
        problems = _problems(with_tokens[-1])
        if not problems:
            notes.append(
                f"{run.name}: tokens.jsonl of step {with_tokens[-1].step} is empty, so it is not in the viewer."
            )
            continue
        if len(problems) > SHOWN_PROBLEMS:
            notes.append(f"{run.name}: the viewer shows the first {SHOWN_PROBLEMS} of {len(problems)} problems.")
        views.append({"name": run.name, "step": with_tokens[-1].step, "problems": problems[:SHOWN_PROBLEMS]})
    return views, notes


def _problems(evaluation: Evaluation) -> list[dict[str, Any]]:
    problems = []
    # splitlines() would split at U+2028 in a text, too
    with evaluation.tokens_file.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                problems.append(_problem(json.loads(line)))
            except (ValueError, TypeError, KeyError) as error:
                raise RunError(
                    f"{evaluation.tokens_file} line {number} is broken ({error!r}): evaluate this step again"
                ) from None
    return problems


def _problem(row: dict[str, Any]) -> dict[str, Any]:
    negative = row["negative"]
    tokens = [str(token) for token in negative["tokens"]]
    given = {AS_TRAINED: negative["weights"]} | {f"by {x}": w for x, w in negative.get("weights_by", {}).items()}
    weights = {name: [float(weight) for weight in values] for name, values in given.items()}
    scores = [negative["residuals"], negative.get("interferences", [None] * len(tokens))]
    residuals, interferences = ([None if x is None or not math.isfinite(x) else float(x) for x in s] for s in scores)
    positive = [str(token) for token in row["positive"]["tokens"]]
    counts = {f"weights {name}": len(values) for name, values in weights.items()}
    for name, count in (counts | {"residuals": len(residuals), "interferences": len(interferences)}).items():
        if count != len(tokens):
            raise ValueError(f"{len(tokens)} tokens, {count} {name}")
    if not all(0 <= weight <= 1 + ROUNDING for values in weights.values() for weight in values):
        raise ValueError("a weight outside [0, 1]")
    return {
        "problem": int(row["problem"]),
        "prompt": str(row["prompt"]),
        "negative": {"tokens": tokens, "weights": weights, "residuals": residuals, "interferences": interferences},
        "positive": {"tokens": positive},
        "weighed": _how_weighed(row.get("weighed")),
    }


def _how_weighed(weighed: dict[str, Any] | None) -> str:
    """A sentence on where the weights come from."""
    if weighed is None:
        return "By which settings these were weighed is not on record."
    settings = ", ".join(
        f"{name} {value}" for name, value in weighed.items() if name not in ("of_training", "responses")
    )
    whose = (
        "As this training weighs"
        if weighed["of_training"]
        else "This training weighs no tokens by ResRL; shown is what ResRL's defaults would give"
    )
    return f"{whose} ({settings}), in a group of all {weighed['responses']} responses of the evaluation."
