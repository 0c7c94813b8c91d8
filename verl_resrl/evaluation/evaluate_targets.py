# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The evaluation of several models, one after the other, with progress; and what is shown of it at the end."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from transformers.utils import logging

from verl_resrl.evaluation.evaluate import check, evaluate, take_samples
from verl_resrl.evaluation.generate import choose_backend, choose_dtype
from verl_resrl.evaluation.models import Target
from verl_resrl.evaluation.progress import Phases
from verl_resrl.evaluation.settings import Settings, of_the_samples
from verl_resrl.evaluation.table import summary_tables
from verl_resrl.evaluation.vllm_generator import LOG_FILE


def evaluate_targets(settings: Mapping[Target, Settings], backend: str, dtype: str, console: Console) -> None:
    """Evaluate all; samples that two of them have in common (trainings from one start) are taken once.

    Args:
        settings: of each evaluation.
        backend: ``vllm``, ``hf`` or ``auto``.
        dtype: ``float32``, ``bfloat16`` or ``auto``.
        console: for progress, the figures and the folders of the results.

    Raises:
        EvaluationError: something that the settings name cannot be used; found before time is spent on any.
    """
    logging.disable_progress_bar()
    chosen = choose_backend(backend)
    settings = {target: replace(one, backend=chosen, dtype=choose_dtype(dtype)) for target, one in settings.items()}
    judges = {target: check(one) for target, one in settings.items()}
    phases, summaries = Phases(len(settings), console), {}
    finished: dict[str, Path] = {}
    for target, one in settings.items():
        samples = json.dumps(of_the_samples(one), sort_keys=True)
        if chosen == "vllm":
            console.print(f"vLLM's log: {target.folder / LOG_FILE}", highlight=False, soft_wrap=True)
        with phases.phase(f"evaluation {target.name}") as phase:
            if samples in finished:  # of another run that started from the same model
                take_samples(finished[samples], target.folder)
            summaries[target.name] = evaluate(one, target.folder, judges[target], phase.update)
            finished[samples] = target.folder
            phase.note = f"Avg@{one.n} {summaries[target.name]['overall']['avg_at_n']['mean']:.3f}"
    for table in summary_tables(summaries):
        console.print(table)
    for name, summary in summaries.items():
        rated = summary.get("codeforces")
        if rated is not None:
            note = f", above {rated['percentile']:.1f}% of {rated['num_users']} users" if "percentile" in rated else ""
            console.print(f"{name}: CodeForces rating {rated['rating']:.0f}{note}", highlight=False, soft_wrap=True)
    for target in settings:
        console.print(str(target.folder), highlight=False, soft_wrap=True)
