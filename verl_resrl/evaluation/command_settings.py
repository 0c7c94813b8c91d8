# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Options of ``resrl eval`` as they were typed -> the settings of each model that is evaluated."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import typer

from verl_resrl.evaluation.models import Target, find_targets
from verl_resrl.evaluation.protocol import options_of
from verl_resrl.evaluation.run_settings import RunSettings, read_run_settings
from verl_resrl.evaluation.settings import BACKENDS, DTYPES, EvaluationError, Settings, named_file
from verl_resrl.statistics.passk import powers_of_two

SAME = ("n", "averaged", "temperature", "top_p", "max_tokens", "max_prompt_tokens", "seed", "limit")
MORE = ("threshold", "tensor_parallel_size", "token_weights")


def settings_of_targets(params: Mapping[str, Any], given: Collection[str]) -> dict[Target, Settings]:
    """Work out what is evaluated, and how.

    What was typed comes first, then the protocol of the benchmark, then what the training said.

    Args:
        params: options of the command by name, defaults included.
        given: names of those that were typed.

    Returns:
        Settings of each target, in the order of evaluation.

    Raises:
        EvaluationError: an option, a file that it names, or the folder of a run is wrong.
    """
    options: dict[str, Any] = {**params, **_protocol(params, given)}
    common = {name: options[name] for name in (*SAME, *MORE)} | {
        "data": tuple(str(file.expanduser().resolve()) for file in options["data"] or ()),
        "k": _numbers("k", options["k"]) if options["k"] is not None else tuple(powers_of_two(max(options["n"], 0))),
        "reward_file": _reward_file(options["reward_file"]) if options["reward_file"] else None,
        "codeforces_users": _absolute(options["codeforces_users"]),
        "chat_template_kwargs": _json_object(options["chat_template_kwargs"]),
    }
    runs = {folder: read_run_settings(folder) for folder in options["run"] or []}
    out = options["out"].expanduser() if options["out"] is not None else None
    steps = _numbers("steps", options["steps"]) if options["steps"] is not None else ()
    targets = find_targets(options["model"], runs, steps, out, options["benchmark"])
    by_protocol = {"reward_file", "threshold"} if options["benchmark"] is not None else set()
    of_runs = _of_runs(runs, {*given, *by_protocol})
    if options["backend"] not in BACKENDS:
        raise EvaluationError(f"--backend {options['backend']} must be one of {', '.join(BACKENDS)}")
    if options["dtype"] not in DTYPES:
        raise EvaluationError(f"--dtype {options['dtype']} must be one of {', '.join(DTYPES)}")
    return {target: Settings(model=target.model, **(common | of_runs.get(target.run, {}))) for target in targets}


def _absolute(file: Path | None) -> str | None:
    return str(file.expanduser().resolve()) if file else None


def _protocol(params: Mapping[str, Any], given: Collection[str]) -> dict[str, Any]:
    """Options of a benchmark's protocol, less those that were given."""
    benchmark = params["benchmark"]
    if benchmark is None:
        return {}
    options = {name: value for name, value in options_of(benchmark).items() if name not in given}
    if "n" in given:  # a quick look: what needs more responses is left out
        n = params["n"]
        options |= {"k": ",".join(k for k in options["k"].split(",") if int(k) <= n)} if "k" in options else {}
        options |= {"averaged": None} if options.get("averaged", 0) > n else {}
    for file in options.get("data", ()):
        if not file.exists():
            raise EvaluationError(f"{file} does not exist: python scripts/prepare_data.py {benchmark} writes it")
    return options


def _of_runs(runs: Mapping[Path, RunSettings | None], given: Collection[str]) -> dict[Path | None, dict[str, Any]]:
    """What the trainings say and the command line does not; tells the user what it is."""
    found: dict[Path | None, dict[str, Any]] = {}
    for folder, settings in runs.items():
        if settings is None:
            continue
        found[folder] = own = settings.options(given)
        if own.get("reward_file") is not None:
            if not Path(own["reward_file"]).is_file():
                raise EvaluationError(
                    f"--run: {folder} was trained with the reward function in {own['reward_file']}, which is not here: "
                    "name it with --reward-file"
                )
            typer.echo(f"{folder}: reward function of the training, {own['reward_name']} in {own['reward_file']}")
        if settings.start is None and settings.model is not None:
            typer.echo(f"{folder}: the model that it started from, {settings.model}, is not here and is left out")
    return found


def _reward_file(path: str) -> str:
    try:
        return str(Path(named_file(path)).expanduser().resolve())
    except EvaluationError as error:
        raise EvaluationError(f"--reward-file {error}") from None


def _numbers(name: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise EvaluationError(f"--{name} {text} must be numbers with commas between, such as 1,2,4") from None


def _json_object(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise EvaluationError(f"--chat-template-kwargs is not JSON ({error})") from None
    if not isinstance(value, dict):
        raise EvaluationError(
            f'--chat-template-kwargs {text} must be a JSON object, such as {{"enable_thinking": false}}'
        )
    return value
