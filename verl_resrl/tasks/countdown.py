# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Countdown, puzzle and verifier: reach the target from the given numbers with + - *, each number used at most once.

The prompt ``8649>47:`` gives the numbers 8, 6, 4, 9 (one digit each) and the target 47. A response writes its steps
and ends with the target: ``6+9=15,8*4=32,15+32=47``. A step takes two numbers that are still there, given ones or
results, and puts its result in their place. Results are natural numbers, written in plain digits without sign.

The file has no import from this package, so that verl can load it by path as its reward function.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

DATA_SOURCE = "countdown"
OPERATIONS = "+-*"
# longer than any response that could be right; parsing stays cheap whatever a model writes
MAX_RESPONSE_CHARS = 1000
_NATURAL = "(0|[1-9][0-9]{0,8})"
_STEP = re.compile(f"{_NATURAL}([+*-]){_NATURAL}={_NATURAL}")
_GROUND_TRUTH = re.compile("([1-9]{2,6})>([0-9]{1,9})")


@dataclass(frozen=True)
class Problem:
    """One puzzle.

    Attributes:
        numbers: the given numbers, each 1 to 9, in the order shown.
        target: what to reach.
    """

    numbers: tuple[int, ...]
    target: int

    @property
    def ground_truth(self) -> str:
        """``8649>47``: all that the verifier needs."""
        return "".join(map(str, self.numbers)) + f">{self.target}"

    @property
    def prompt(self) -> str:
        """``8649>47:``, the user's message."""
        return self.ground_truth + ":"

    @property
    def key(self) -> tuple[tuple[int, ...], int]:
        """Equal for problems that differ only in the order of their numbers."""
        return tuple(sorted(self.numbers)), self.target

    @classmethod
    def from_ground_truth(cls, text: str) -> "Problem":
        """Inverse of ``ground_truth``.

        Raises:
            ValueError: the text is not of the form ``8649>47``.
        """
        match = _GROUND_TRUTH.fullmatch(text)
        if match is None:
            raise ValueError(f"Countdown: ground truth {text[:40]!r} is not of the form '8649>47'")
        return cls(tuple(map(int, match[1])), int(match[2]))


class Node(NamedTuple):
    """A number that is there to be used, and how it was made.

    Attributes:
        value: the number.
        terms: its signed summands in canonical order; a given number or a product has one.
        factors: its factors in canonical order; a given number or a sum has one.
        steps: how many steps went into it.
    """

    value: int
    terms: tuple[str, ...]
    factors: tuple[str, ...]
    steps: int

    @property
    def expression(self) -> str:
        """Canonical form: equal for answers that differ only in order and grouping of sums and products."""
        return "".join(self.terms)


def given(number: int) -> Node:
    """A given number."""
    return Node(number, (f"+{number}",), (str(number),), 0)


def apply(a: Node, operation: str, b: Node) -> Node:
    """The result of a step; ``operation`` is one of ``OPERATIONS``."""
    steps = a.steps + b.steps + 1
    if operation == "*":
        factors = tuple(sorted(a.factors + b.factors))
        return Node(a.value * b.value, ("+" + "*".join(factors),), factors, steps)
    flip = str.maketrans("+-", "-+")
    summands = b.terms if operation == "+" else tuple(t[0].translate(flip) + t[1:] for t in b.terms)
    terms = tuple(sorted(a.terms + summands))
    value = a.value + b.value if operation == "+" else a.value - b.value
    return Node(value, terms, (f"({''.join(terms)})",), steps)


def replay(numbers: Sequence[int], response: str) -> Node | None:
    """Carry out the steps of a response.

    Args:
        numbers: the given numbers.
        response: any text.

    Returns:
        The last result, or None if the text is not a list of correct steps over numbers that are there.
    """
    if len(response) > MAX_RESPONSE_CHARS:
        return None
    pool = [given(n) for n in numbers]
    for text in response.strip().split(","):
        match = _STEP.fullmatch(text)
        if match is None:
            return None
        a, b = _take(pool, int(match[1])), _take(pool, int(match[3]))
        if a is None or b is None:
            return None
        result = apply(a, match[2], b)
        if result.value != int(match[4]):
            return None
        pool.append(result)
    return pool[-1]


def _take(pool: list[Node], value: int) -> Node | None:
    """Remove and return the number; of several, the latest result."""
    for index in reversed(range(len(pool))):
        if pool[index].value == value:
            return pool.pop(index)
    return None


def canonical_answer(response: str, ground_truth: str) -> str | None:
    """Name the answer that a response gives: equal for two responses that differ in order and grouping only.

    Args:
        response: any text.
        ground_truth: ``numbers>target``.

    Returns:
        Such as ``+4*8+6+9``, or None if the response is wrong.

    Raises:
        ValueError: the ground truth is malformed.
    """
    problem = Problem.from_ground_truth(ground_truth)
    last = replay(problem.numbers, response)
    return last.expression if last is not None and last.value == problem.target else None


def answer_of(text: str, ground_truth: str) -> str | None:
    """Name the answer of a response, right or wrong, as ``resrl eval`` asks for it.

    Args:
        text: the response.
        ground_truth: ``numbers>target``.

    Returns:
        ``canonical_answer`` for a right response, the same form of its last result for a wrong one, or None if the
        text is not a list of correct steps.

    Raises:
        ValueError: the ground truth is malformed.
    """
    last = replay(Problem.from_ground_truth(ground_truth).numbers, text)
    return None if last is None else last.expression


def compute_score(
    data_source: str, solution_str: str, ground_truth: str, extra_info: dict | None = None, **kwargs: object
) -> dict[str, float]:
    """Reward function with the signature that verl's reward managers call.

    Args:
        data_source: unused, part of verl's signature.
        solution_str: the model's text; nothing in it can raise.
        ground_truth: ``numbers>target``.
        extra_info: unused, part of verl's signature.
        **kwargs: unused, part of verl's signature.

    Returns:
        ``score``: 1.0 for a right answer, else 0.0. ``legal``: 1.0 if every step is right, whatever the target.

    Raises:
        ValueError: the ground truth is malformed.
    """
    problem = Problem.from_ground_truth(ground_truth)
    last = replay(problem.numbers, solution_str)
    right = last is not None and last.value == problem.target
    return {"score": float(right), "legal": float(last is not None)}
