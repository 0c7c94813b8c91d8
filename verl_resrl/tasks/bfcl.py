# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""BFCL multi-turn: run a model's function calls on the benchmark's own simulated APIs and score them.

Execution and score are those of the official package ``bfcl-eval`` (Berkeley function calling leaderboard, V3
multi-turn categories). It passes call strings to ``eval``; nothing gets there from here but calls of the task's own
functions with literal arguments.
"""

import ast
import itertools
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

CATEGORIES = ("multi_turn_base", "multi_turn_miss_func", "multi_turn_miss_param", "multi_turn_long_context")
MAX_CALL_CHARACTERS = 50_000
REFUSED_CALL = "refused_call()"  # no such function: the package reports an error, as for any unknown function
REFUSAL = "Error during execution: this is not a call of one of your functions with literal arguments."
INSTALL = (
    "BFCL needs the packages bfcl-eval, mpmath and pebble: pip install mpmath pebble && pip install --no-deps bfcl-eval"
)

Turn = Sequence[Sequence[str]]  # steps, each with the calls that the model made at once

_trajectory = itertools.count()


@dataclass(frozen=True)
class Task:
    """What the simulated APIs need to know of a benchmark entry.

    Attributes:
        id: such as "multi_turn_base_7".
        classes: names of the simulated APIs.
        initial_config: their initial state by name.
        functions: names of all their functions, those that are held back for some turns included.
    """

    id: str
    classes: tuple[str, ...]
    initial_config: Mapping[str, Any]
    functions: frozenset[str]

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any]) -> "Task":
        """Read an entry as ``bfcl_eval.utils.load_dataset_entry`` gives it."""
        held_back = itertools.chain.from_iterable(entry.get("missed_function", {}).values())
        return cls(
            id=entry["id"],
            classes=tuple(entry["involved_classes"]),
            initial_config=entry["initial_config"],
            functions=frozenset(doc["name"] for doc in (*entry["function"], *held_back)),
        )


@dataclass(frozen=True)
class Verdict:
    """Outcome of a trajectory.

    Attributes:
        valid: whether the official checker accepts it.
        reason: the checker's error type, or empty.
    """

    valid: bool
    reason: str = ""


def write_call(name: str, arguments: str, functions: Collection[str]) -> str:
    """Write a model's call the way the benchmark executes it.

    Args:
        name: of the function, as the model gave it.
        arguments: JSON object, as the model gave it.
        functions: names that may be called.

    Returns:
        Such as "cd(folder='docs')", or ``REFUSED_CALL`` for anything that is not a call of one of these functions
        with literal arguments.
    """
    try:
        values = json.loads(arguments)
        call = f"{name}({','.join(f'{key}={value!r}' for key, value in values.items())})"
    except (ValueError, TypeError, AttributeError, RecursionError):
        return REFUSED_CALL
    return check_call(call, functions)


def check_call(call: str, functions: Collection[str]) -> str:
    """Let a call string through only if evaluating it can do nothing but call one of the functions.

    Args:
        call: Python source.
        functions: names that may be called.

    Returns:
        The call, or ``REFUSED_CALL``.
    """
    if len(call) > MAX_CALL_CHARACTERS:
        return REFUSED_CALL
    try:
        node = ast.parse(call, mode="eval").body
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id not in functions:
            return REFUSED_CALL
        for argument in node.keywords:
            if argument.arg is None or argument.arg.startswith("_"):
                return REFUSED_CALL
        for value in (*node.args, *(argument.value for argument in node.keywords)):
            ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return REFUSED_CALL
    return call


def execute(task: Task, turns: Sequence[Turn]) -> list[str]:
    """Run all calls of a trajectory from the initial state.

    Args:
        task: whose APIs to use.
        turns: what the model called so far; not empty, and the last turn has a step.

    Returns:
        What the calls of the last step returned.
    """
    calls = [call for turn in turns for step in turn for call in step]
    last = turns[-1][-1]
    with _fresh_instances() as (official, run):
        results, _ = official.execute_multi_turn_func_call(
            [check_call(call, task.functions) for call in calls],
            dict(task.initial_config),
            list(task.classes),
            run,
            task.id,
            long_context="long_context" in task.id,
        )
    results = results[len(calls) - len(last) :]
    return [
        REFUSAL if check_call(call, task.functions) == REFUSED_CALL else result
        for call, result in zip(last, results, strict=True)
    ]


def score(task: Task, turns: Sequence[Turn], ground_truth: Sequence[Sequence[str]]) -> Verdict:
    """Score a trajectory with the official multi-turn checker.

    Args:
        task: of the trajectory.
        turns: what the model called in each turn; fewer than there are in the ground truth if it had to stop early.
        ground_truth: reference calls of each turn.

    Returns:
        Verdict; a trajectory that stopped early is wrong, as in the official evaluation.
    """
    if len(turns) != len(ground_truth):
        return Verdict(False, "multi_turn:force_terminated")
    from bfcl_eval.eval_checker.multi_turn_eval.multi_turn_checker import multi_turn_checker

    checked = [[[check_call(call, task.functions) for call in step] for step in turn] for turn in turns]
    entry = {"id": task.id, "initial_config": task.initial_config, "involved_classes": list(task.classes)}
    with _fresh_instances() as (_, run):
        result = multi_turn_checker(checked, ground_truth, entry, task.id.rsplit("_", 1)[0], run)
    return Verdict(bool(result["valid"]), result.get("error_type", ""))


@contextmanager
def _fresh_instances() -> Iterator[tuple[ModuleType, str]]:
    """The official executor and a name for one run; it keeps the APIs' instances under that name: remove them after."""
    try:
        from bfcl_eval.eval_checker.multi_turn_eval import multi_turn_utils
    except ImportError as error:
        raise ImportError(f"{INSTALL} ({error})") from None
    run = f"verl_resrl_{next(_trajectory)}"
    try:
        yield multi_turn_utils, run
    finally:
        instances = vars(multi_turn_utils)
        for name in [name for name in instances if name.startswith(f"{run}_")]:
            del instances[name]
