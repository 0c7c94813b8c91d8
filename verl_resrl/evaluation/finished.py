# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""What ``resrl eval`` has left in its folder: settings, responses, and the problems that their numbers stand for."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verl_resrl.evaluation.context import context_of
from verl_resrl.evaluation.evaluate import SUMMARY_FILE
from verl_resrl.evaluation.generate import load_tokenizer
from verl_resrl.evaluation.problems import Problem, problems_of
from verl_resrl.evaluation.samples import SAMPLES_FILE, Sample
from verl_resrl.evaluation.settings import SETTINGS_FILE, EvaluationError, Settings, with_defaults


@dataclass(frozen=True)
class Finished:
    """An evaluation.

    Attributes:
        settings: that it was made with.
        samples: the responses, problem after problem.
        problems: by the numbers that samples have, which are not those of rows: long prompts are left out.
        tokenizer: of the model.
    """

    settings: Settings
    samples: Sequence[Sample]
    problems: Sequence[Problem]
    tokenizer: Any

    def groups(self, size: int) -> dict[int, list[Sample]]:
        """The first responses to each problem.

        Args:
            size: at most so many of each.
        """
        found: dict[int, list[Sample]] = defaultdict(list)
        for sample in self.samples:
            if sample.sample < size:
                found[sample.problem].append(sample)
        return dict(found)


def read_finished(folder: Path) -> Finished:
    """Read an evaluation whose model and data are still where they were.

    Args:
        folder: of the evaluation.

    Raises:
        EvaluationError: it is not such a folder, or tokenizer or data cannot be read.
    """
    if not (folder / SUMMARY_FILE).exists():
        raise EvaluationError(f"{folder} is not the folder of a finished evaluation (it has no {SUMMARY_FILE})")
    try:
        values = with_defaults(json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8")))
        del values["fingerprints"]
        lists = {name: tuple(values[name]) for name in ("data", "k")}
        settings = Settings(**{**values, **lists})
        with (folder / SAMPLES_FILE).open(encoding="utf-8") as lines:
            samples = sorted((Sample(**json.loads(line)) for line in lines), key=lambda sample: sample.job)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise EvaluationError(f"{folder} is not as resrl eval leaves it ({error})") from None
    tokenizer = load_tokenizer(settings.model)
    problems = problems_of(settings, tokenizer, context_of(settings.model))
    return Finished(settings, samples, problems, tokenizer)
