# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The command line of ``resrl eval --benchmark`` for agents."""

import shlex
from collections.abc import Mapping
from typing import Any

from verl_resrl.evaluation.agents import evaluate_agent, settings_of
from verl_resrl.evaluation.models import single_model
from verl_resrl.evaluation.progress import Phases
from verl_resrl.evaluation.settings import EvaluationError

SETTINGS = ("n", "temperature", "top_p", "max_tokens", "max_prompt_tokens", "seed", "limit", "tensor_parallel_size")
OPTIONS = (*SETTINGS, "benchmark", "model", "out", "backend", "data", "verl_args")


def evaluate_on_command(benchmark: str, given: Mapping[str, Any]) -> None:
    """Evaluate one model, and print the shares of successes.

    Args:
        benchmark: one of ``AGENT_BENCHMARKS``.
        given: options of the command line, by name.

    Raises:
        EvaluationError: an option is missing or means nothing here, or verl failed.
    """
    if "model" not in given:
        raise EvaluationError(f"--benchmark {benchmark} needs --model; verl plays its episodes")
    for option in given.keys() - set(OPTIONS):
        name = option.replace("_", "-")
        raise EvaluationError(f"--{name} means nothing for --benchmark {benchmark}, whose episodes verl plays")
    values = {name: given[name] for name in SETTINGS if name in given}
    if "data" in given:
        values["data"] = tuple(file.expanduser() for file in given["data"])
    values["verl_args"] = tuple(shlex.split(given.get("verl_args", "")))
    target = single_model(given["model"], given.get("out"), benchmark)
    settings = settings_of(benchmark, target.model, values)
    # the cheap checks are done: loading these takes seconds
    import torch
    from rich.console import Console

    gpus = 0 if given.get("backend") == "hf" else torch.cuda.device_count()
    console = Console()
    with Phases(1, console).phase(f"{benchmark}, {target.name}") as phase:
        found = evaluate_agent(settings, target.folder, gpus, phase.waiting)
    for name, value in found.items():
        console.print(f"{name}: {value:.3f}", highlight=False)
    console.print(str(target.folder), highlight=False, soft_wrap=True)
