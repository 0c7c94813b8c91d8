# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""One row of a public data set -> what verl needs to know of it. One function for each schema."""

import base64
import io
import json
import pickle
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from verl_resrl.tasks.code_reward import Tests
from verl_resrl.tasks.math_gold import check_ground_truth

BOXED = "Please reason step by step, and put your final answer within \\boxed{}."
STDIN = "Write a Python program from standard input to standard output. Put it in one ```python block."
NAMED_FUNCTION = (
    "Write a Python function `{name}` that does this, with all imports and helpers that it needs, in one ```python "
    "block."
)
FUNCTION = "Complete this code in Python, with all imports and helpers that it needs, in one ```python block."


class SchemaError(ValueError):
    """A row is not what the data set's schema says; the message names the field."""


class Task(NamedTuple):
    """What a row asks, and how an answer is judged.

    Attributes:
        prompt: of the user.
        ground_truth: for the reward function.
        id: of the problem in its source; empty if it has none.
        rating: difficulty on the scale of Codeforces, or None.
    """

    prompt: str
    ground_truth: str
    id: str = ""
    rating: int | None = None


def field(row: Mapping[str, Any], name: str, kind: type | tuple[type, ...] = str) -> Any:
    """Take a value that must be there and, if it is a text, must not be empty.

    Args:
        row: of the source.
        name: of the field.
        kind: what the value must be.

    Raises:
        SchemaError: it is missing, empty or of another kind.
    """
    if name not in row:
        raise SchemaError(f"field {name!r} is missing, the row has {sorted(row)}")
    value = row[name]
    if not isinstance(value, kind) or (isinstance(value, str) and not value.strip()):
        names = " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))
        raise SchemaError(f"field {name!r} must be a {names} with content, got {str(value)[:80]!r}")
    return value


def _json(row: Mapping[str, Any], name: str) -> Any:
    try:
        return json.loads(field(row, name))
    except json.JSONDecodeError as error:
        raise SchemaError(f"field {name!r} is not JSON: {error}") from error


def math_task(row: Mapping[str, Any], question: str, answer: str, key: str | None) -> Task:
    """A mathematics problem with an answer in a field of its own.

    Args:
        row: of the source.
        question: field of the problem.
        answer: field of the answer.
        key: field of the id, or None.
    """
    problem = field(row, question).strip()
    return Task(f"{problem}\n\n{BOXED}", _gold(row, answer), str(field(row, key, (str, int))) if key else "")


def _gold(row: Mapping[str, Any], name: str) -> str:
    try:
        return check_ground_truth(field(row, name, object)).strip()
    except ValueError as error:
        raise SchemaError(f"field {name!r}: {error}") from error


def dapo(row: Mapping[str, Any]) -> Task:
    """BytedTsinghua-SIA/DAPO-Math-17k, which is in verl's format; its prompt asks for a last line ``Answer: ...``."""
    messages = list(field(row, "prompt", (list, tuple)))
    if len(messages) != 1 or messages[0].get("role") != "user":
        raise SchemaError("field 'prompt' must be one message of the user")
    truth = _gold(field(row, "reward_model", dict), "ground_truth")
    return Task(field(messages[0], "content"), truth, str((row.get("extra_info") or {}).get("index") or ""))


def olympiad(row: Mapping[str, Any]) -> Task | None:
    """Hothan/OlympiadBench: text-only problems whose answers a program can check; None for the others."""
    if field(row, "modality") != "Text-only" or field(row, "answer_type") == "Need_human_evaluate":
        return None
    answers = [str(answer).strip().strip("$") for answer in field(row, "final_answer", (list, tuple))]
    if not answers or not all(answers):
        raise SchemaError("field 'final_answer' must be a list of answers, none of them empty")
    return Task(f"{field(row, 'question').strip()}\n\n{BOXED}", ", ".join(answers), str(field(row, "id", (int, str))))


def human_eval_plus(row: Mapping[str, Any]) -> Task:
    """evalplus/humanevalplus: a function to complete, and a function ``check`` that asserts."""
    prompt, name = field(row, "prompt"), field(row, "entry_point")
    # the prompt's own text comes first: its imports and helpers are part of the problem
    tests = Tests(assert_case=(f"{field(row, 'test')}\n\ncheck({name})",), prefix=prompt)
    return Task(f"{FUNCTION}\n\n```python\n{prompt.strip()}\n```", tests.to_json(), field(row, "task_id"))


def live_code_bench(row: Mapping[str, Any]) -> Task:
    """livecodebench/code_generation_lite: public and private tests, of a program or of a method of ``Solution``."""
    cases = [*_json(row, "public_test_cases"), *_private_tests(field(row, "private_test_cases"))]
    name = json.loads(row.get("metadata") or "{}").get("func_name")
    tests = _tests(cases, name)
    prompt = _code_prompt(field(row, "question_content"), row.get("starter_code"), name)
    return Task(prompt, tests, field(row, "question_id"))


def codeforces(row: Mapping[str, Any]) -> Task | None:
    """open-r1/codeforces: None for problems with several right outputs, other than stdin and stdout, or few tests."""
    if row.get("generated_checker") or row.get("input_mode") != "stdio" or not row.get("official_tests_complete"):
        return None
    cases = field(row, "official_tests", (list, tuple))
    parts = [field(row, "title"), field(row, "description")]
    formats = (("Input", row.get("input_format")), ("Output", row.get("output_format")))
    parts += [f"{title}:\n{text}" for title, text in formats if text]
    parts += [f"Example input:\n{e['input']}\nExample output:\n{e['output']}" for e in row.get("examples") or ()]
    parts += [f"Note:\n{row['note']}"] if row.get("note") else []
    rating = row.get("rating")
    return Task(
        _code_prompt("\n\n".join(parts), None, None), _tests(cases, None), field(row, "id"), rating and int(rating)
    )


def deep_coder(row: Mapping[str, Any]) -> Task:
    """agentica-org/DeepCoder-Preview-Dataset: tests as a list of cases, or as lists of inputs and outputs (taco)."""
    cases, metadata = _json(row, "tests"), row.get("metadata") or {}
    name = metadata.get("func_name") if isinstance(metadata, Mapping) else None
    if isinstance(cases, dict):
        name = cases.get("fn_name")
        pairs = zip(field(cases, "inputs", list), field(cases, "outputs", list), strict=True)
        cases = [{"input": given, "output": wanted} for given, wanted in pairs]
    name = name or next((case["fn_name"] for case in cases if case.get("fn_name")), None)
    return Task(_code_prompt(field(row, "problem"), row.get("starter_code"), name), _tests(cases, name))


def _code_prompt(question: str, starter: str | None, name: str | None) -> str:
    if starter and starter.strip():
        return f"{question.strip()}\n\n{FUNCTION}\n\n```python\n{starter.strip()}\n```"
    if name is not None:  # which the tests call
        return f"{question.strip()}\n\n{NAMED_FUNCTION.format(name=name)}"
    return f"{question.strip()}\n\n{STDIN}"


def _tests(cases: list[Mapping[str, Any]], name: str | None) -> str:
    """Ground truth of cases with ``input`` and ``output``: texts, or for a function also values."""
    if not cases:
        raise SchemaError("the row has no tests")
    try:
        inputs, outputs = [case["input"] for case in cases], [case["output"] for case in cases]
        if name is not None:
            inputs, outputs = [_arguments(given) for given in inputs], [_result(wanted) for wanted in outputs]
        return Tests(inputs=tuple(inputs), outputs=tuple(outputs), fn_name=name).to_json()
    except (KeyError, TypeError, ValueError) as error:
        raise SchemaError(f"a test is malformed: {type(error).__name__} {error}") from error


def _arguments(given: Any) -> str:
    """One JSON value a line: LiveCodeBench has that as text, others have a list of values."""
    if not isinstance(given, str):
        return "\n".join(json.dumps(value) for value in given)
    for line in given.splitlines():
        json.loads(line)
    return given


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _result(wanted: Any) -> str:
    """JSON of a result: LiveCodeBench has that as text, others have the value in a list, or a plain text."""
    if isinstance(wanted, str) and _is_json(wanted):
        return wanted
    return json.dumps(wanted[0] if isinstance(wanted, list) and len(wanted) == 1 else wanted)


class _TextOnly(pickle.Unpickler):
    """A pickle of a text needs nothing from any module; one that does is an attack."""

    def find_class(self, module: str, name: str) -> Any:
        """Refuse."""
        raise SchemaError(f"field 'private_test_cases' wants to import {module}.{name}: not a pickled text")


def _private_tests(packed: str) -> list[Mapping[str, Any]]:
    """LiveCodeBench has JSON, or base64 of zlib of a pickled text with JSON."""
    if packed.lstrip().startswith("["):
        return json.loads(packed)
    try:
        text = _TextOnly(io.BytesIO(zlib.decompress(base64.b64decode(packed)))).load()
        return json.loads(text)
    except SchemaError:
        raise
    except Exception as error:
        raise SchemaError(f"field 'private_test_cases' cannot be unpacked: {type(error).__name__} {error}") from error
