# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""What a model would have to say to make the calls of a ground truth."""

import ast
import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any


def script(entry: Mapping[str, Any], turns: Sequence[Sequence[str]]) -> list[str]:
    """For each turn the calls in one step, if there are any, and then words without a call."""
    held_back = itertools.chain.from_iterable(entry.get("missed_function", {}).values())
    parameters = {doc["name"]: list(doc["parameters"]["properties"]) for doc in (*entry["function"], *held_back)}
    said = []
    for calls in turns:
        said += ["\n".join(tool_call(call, parameters) for call in calls)] if calls else []
        said.append("That is all.")
    return said


def tool_call(call: str, parameters: Mapping[str, Sequence[str]]) -> str:
    """A call string of the ground truth in the format "hermes"."""
    node = ast.parse(call, mode="eval").body
    assert isinstance(node, ast.Call)
    assert isinstance(node.func, ast.Name)
    named = dict(zip(parameters[node.func.id], node.args, strict=False)) | {k.arg: k.value for k in node.keywords}
    arguments = {name: ast.literal_eval(value) for name, value in named.items()}
    return f"<tool_call>\n{json.dumps({'name': node.func.id, 'arguments': arguments})}\n</tool_call>"


def without_a_turn(turns: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """The same calls but for those of the last turn that has any."""
    last = max(number for number, calls in enumerate(turns) if calls)
    return [[] if number == last else calls for number, calls in enumerate(turns)]
