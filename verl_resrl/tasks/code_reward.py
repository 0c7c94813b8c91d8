# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Reward of programming problems: 1 if the program of a response passes every test, else 0.

Programs run in ``sandbox``, or on a sandbox-fusion server (``reward.sandbox_fusion.url``) through verl's client.
verl finds it as ``reward.custom_reward_function.path=pkg://verl_resrl.tasks.code_reward``.
"""

import json
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import partial
from importlib.metadata import entry_points
from typing import Any

from verl_resrl.tasks.code_block import MAX_PROGRAM_CHARS, extract_program
from verl_resrl.tasks.sandbox import Limits, Mode, Outcome, run

Execute = Callable[[str, str, Mode], Outcome]

REMOTE_JUDGES = "verl_resrl.code_judges"  # group of entry points
# verl has reward.num_workers (8) processes that judge answers, each in many threads; resrl eval is one process
PROCESSES = "RESRL_REWARD_PROCESSES"
_FUTURE = re.compile(r"^from __future__ import .*$", re.MULTILINE)
_slots = threading.BoundedSemaphore(max(1, (os.cpu_count() or 1) // int(os.environ.get(PROCESSES, "8"))))


@dataclass(frozen=True)
class Tests:
    """Tests of one problem, in the format of verl's own code rewards.

    Attributes:
        inputs: what the program reads from stdin; with ``fn_name``, the arguments, one JSON value a line.
        outputs: what it must write; with ``fn_name``, the result as JSON.
        fn_name: the function to call, or None for a program.
        assert_case: assertions to run behind the program, in place of inputs and outputs; one text a test.
        prefix: source to run before the program, such as helper functions that the prompt shows.
    """

    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    fn_name: str | None = None
    assert_case: tuple[str, ...] = ()
    prefix: str = ""

    def __post_init__(self) -> None:
        texts = [*self.inputs, *self.outputs, *self.assert_case, self.prefix, self.fn_name or ""]
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("code reward: inputs, outputs, assert_case, prefix and fn_name must be texts")
        if not self.assert_case and (not self.inputs or len(self.inputs) != len(self.outputs)):
            raise ValueError(
                f"code reward: {len(self.inputs)} inputs and {len(self.outputs)} outputs: as many of both, at least one"
            )

    @property
    def count(self) -> int:
        """How many tests there are."""
        return len(self.assert_case or self.inputs)

    @classmethod
    def from_json(cls, text: str) -> "Tests":
        """Read a ground truth.

        Args:
            text: JSON object with the attributes as keys.

        Raises:
            ValueError: it is malformed.
        """
        try:
            given = json.loads(text)
            return cls(
                inputs=tuple(given.get("inputs") or ()),
                outputs=tuple(given.get("outputs") or ()),
                fn_name=given.get("fn_name"),
                assert_case=tuple(given.get("assert_case") or ()),
                prefix=given.get("prefix") or "",
            )
        except (TypeError, AttributeError, json.JSONDecodeError) as error:
            raise ValueError(f"code reward: ground_truth is not JSON with tests: {error}") from error

    def to_json(self) -> str:
        """The ground truth that ``from_json`` reads, also by verl's own code rewards."""
        given: dict[str, Any] = {"inputs": self.inputs, "outputs": self.outputs}
        if self.assert_case:  # verl wants as many inputs as assertions
            given = {"inputs": [""] * len(self.assert_case), "outputs": [""] * len(self.assert_case)}
            given["assert_case"] = self.assert_case
        optional = {"fn_name": self.fn_name, "prefix": self.prefix}
        return json.dumps(given | {key: value for key, value in optional.items() if value})


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: dict | None = None,
    isolation: str = "bwrap",
    sandbox_fusion_url: str | None = None,
    cpu_seconds: float = 6.0,
    memory_bytes: int = 2 << 30,
    answer_seconds: float | None = None,
    **kwargs: object,
) -> dict[str, float | str]:
    """Reward function with the signature that verl's reward managers call; safe to call from any thread.

    The settings from ``isolation`` on come from ``reward.custom_reward_function.reward_kwargs``.

    Args:
        data_source: unused, part of verl's signature.
        solution_str: the model's text; nothing in it can raise.
        ground_truth: JSON of ``Tests``.
        extra_info: unused, part of verl's signature.
        isolation: of ``sandbox``.
        sandbox_fusion_url: run programs there instead.
        cpu_seconds: computing time of a test.
        memory_bytes: of a process.
        answer_seconds: for all tests of a response; by default (cpu_seconds + 1) for each test and 5.
        **kwargs: unused, part of verl's signature.

    Returns:
        ``score`` and ``acc``: 1.0 if all tests pass, else 0.0. ``pred``: the program, shortened. ``status``: "right",
        or why not: "no_program", "wrong_answer", "error" or "timeout".

    Raises:
        ValueError: the ground truth or a setting is malformed.
        SandboxError: the sandbox does not work on this machine, or the server did not run a program.
    """
    tests = Tests.from_json(ground_truth)
    program = extract_program(solution_str, tests.fn_name)
    limits = Limits(cpu_seconds=cpu_seconds, wall_seconds=3 * cpu_seconds, memory_bytes=memory_bytes)
    seconds = (cpu_seconds + 1) * tests.count + 5 if answer_seconds is None else answer_seconds
    if program is None:
        status = "no_program"
    elif sandbox_fusion_url:
        status = judge(program, tests, partial(_remote(), url=sandbox_fusion_url, limits=limits), seconds)
    else:
        with _slots:
            status = judge(program, tests, partial(run, limits=limits, isolation=isolation), seconds)
    right = float(status == "right")
    pred = (program or "")[:MAX_PROGRAM_CHARS].encode("utf-8", "replace").decode("utf-8")
    return {"score": right, "acc": right, "pred": pred, "status": status}


def check_ground_truth(ground_truth: str) -> None:
    """Look at the tests of a problem before its responses are made.

    Args:
        ground_truth: JSON of ``Tests``.

    Raises:
        ValueError: it is malformed.
    """
    Tests.from_json(ground_truth)


def judge(program: str, tests: Tests, execute: Execute, answer_seconds: float) -> str:
    """Run a program on its tests until one fails.

    Args:
        program: Python source.
        tests: what it must pass.
        execute: runs a program with its stdin in a mode, as ``sandbox.run``.
        answer_seconds: for all tests.

    Returns:
        "right", "wrong_answer", "error" or "timeout".
    """
    end = time.monotonic() + answer_seconds
    for outcome, passed in _outcomes(_behind(tests.prefix, program), tests, execute):
        if outcome.status != "ok":
            return outcome.status
        if not passed:
            return "wrong_answer"
        if time.monotonic() > end:
            return "timeout"
    return "right"


def _behind(prefix: str, program: str) -> str:
    """Both as one program; imports from ``__future__`` stay in front."""
    if not prefix:
        return program
    imports = _FUTURE.findall(program)
    return "\n".join([*imports, prefix, _FUTURE.sub("", program)])


def _outcomes(program: str, tests: Tests, execute: Execute) -> Iterator[tuple[Outcome, bool]]:
    for assertions in tests.assert_case:
        secret = secrets.token_hex(16)  # a program that leaves early does not write it
        outcome = execute(f"{program}\n\n{assertions}\n", secret, "assert")
        yield outcome, outcome.stdout == secret
    if tests.assert_case:
        return
    for given, expected in zip(tests.inputs, tests.outputs, strict=True):
        if tests.fn_name is None:
            outcome = execute(program, given, "program")
            yield outcome, same_output(outcome.stdout, expected)
        else:
            arguments = [json.loads(line) for line in given.splitlines()]
            request = json.dumps({"name": tests.fn_name, "arguments": arguments})
            outcome = execute(program, request, "function")
            yield outcome, _same_json(outcome.stdout, expected)


def same_output(written: str, expected: str) -> bool:
    """Compare as LiveCodeBench does: line by line without outer spaces; lines of numbers by their values.

    Args:
        written: by the program.
        expected: by the test.
    """
    lines, wanted = written.strip().split("\n"), expected.strip().split("\n")
    return len(lines) == len(wanted) and all(map(_same_line, lines, wanted))


def _same_line(line: str, wanted: str) -> bool:
    if line.strip() == wanted.strip():
        return True
    numbers = _numbers(wanted)
    return numbers is not None and _numbers(line) == numbers


def _numbers(line: str) -> list[Decimal] | None:
    try:
        numbers = [Decimal(word) for word in line.split()]
    except InvalidOperation:
        return None
    return numbers if all(number.is_finite() for number in numbers) else None  # sNaN cannot even be compared


def _same_json(written: str, expected: str) -> bool:
    try:
        return json.loads(written) == json.loads(expected)
    except (ValueError, RecursionError):  # no JSON, or an integer of more digits than Python reads
        return False


def _remote() -> Callable[..., Outcome]:
    """The client is verl's, which tasks do not import: whoever offers one has an entry point."""
    (client,) = entry_points(group=REMOTE_JUDGES, name="sandbox_fusion")
    return client.load()
