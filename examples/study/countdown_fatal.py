# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Where a wrong Countdown response went wrong: the first character after which it could not be saved any more."""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from verl_resrl.tasks.countdown import MAX_RESPONSE_CHARS, OPERATIONS, Problem, canonical_answer

_APPLY = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__}
_Numbers = tuple[int, ...]  # that are there to be used, sorted


class _Step(NamedTuple):
    text: str
    value: int
    numbers: _Numbers  # after the step


def first_fatal_character(response: str, ground_truth: str) -> int | None:
    """Find the first fatal character of a response.

    That is the first character at which the text stops being the beginning of any right answer, of any sequence of
    legal steps with the numbers left that ends with the target. It need not look wrong: a correct step that uses up a
    number without which the target is out of reach is fatal at the character that commits to it. All continuations
    are searched, by the rules of the verifier: a step may be one that no later step needs, and white space around an
    answer does not count.

    Args:
        response: any text.
        ground_truth: ``numbers>target``.

    Returns:
        Index in [0, len(response)], or None if the response is right. ``len(response)`` says that every character
        was fine and only to stop there was wrong: the first wrong token is the one that ended the response.

    Raises:
        ValueError: the ground truth is malformed.
    """
    problem = Problem.from_ground_truth(ground_truth)
    if canonical_answer(response, ground_truth) is not None:
        return None
    numbers = tuple(sorted(problem.numbers))
    if not _can_reach(numbers, problem.target):
        return 0
    leading_space = len(response) - len(response.lstrip())
    fatal = _follow(response, leading_space, numbers, problem.target)
    return min(fatal, MAX_RESPONSE_CHARS)  # the verifier takes no longer text, whatever it says


def _follow(response: str, position: int, numbers: _Numbers, target: int) -> int:
    """First fatal character of a wrong response from the step that begins at ``position`` on."""
    while True:
        saving = {step.text: step for step in _steps(numbers) if _is_saving(step, target)}
        comma = response.find(",", position)
        end = comma if comma >= 0 else len(response)
        text = response[position:end]
        common = max((_common_prefix(text, step) for step in saving), default=0)
        step = saving.get(text[:common])
        if common < len(text):
            if step is not None and step.value == target:  # an answer already, behind which space may follow
                common += len(text[common:]) - len(text[common:].lstrip())
            return position + common
        if end == len(response) or step is None or not _can_reach(step.numbers, target):
            return end
        numbers, position = step.numbers, end + 1


def _common_prefix(a: str, b: str) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _steps(numbers: _Numbers) -> Iterator[_Step]:
    """Every legal step over the numbers, some of them more than once."""
    for i, a in enumerate(numbers):
        others = numbers[:i] + numbers[i + 1 :]
        for j, b in enumerate(others):
            for operation in OPERATIONS:
                value = _APPLY[operation](a, b)
                if value >= 0:
                    left = tuple(sorted((*others[:j], *others[j + 1 :], value)))
                    yield _Step(f"{a}{operation}{b}={value}", value, left)


def _is_saving(step: _Step, target: int) -> bool:
    return step.value == target or _can_reach(step.numbers, target)


@lru_cache(maxsize=1 << 16)
def _can_reach(numbers: _Numbers, target: int) -> bool:
    """Whether one or more steps over the numbers end with the target."""
    return any(_is_saving(step, target) for step in _steps(numbers))
