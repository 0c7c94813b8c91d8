# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""All right answers to a Countdown problem, and every way to write them."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from verl_resrl.tasks.countdown import OPERATIONS, Node, Problem, apply, given

# of the solver's steps, not the verifier's: two digits, so that a small model can learn the arithmetic
LARGEST_RESULT = 99


@dataclass(frozen=True)
class Solution:
    """A right answer.

    Attributes:
        text: the response.
        expression: its canonical form.
    """

    text: str
    expression: str


def derivations(numbers: Sequence[int], largest: int) -> Iterator[tuple[Node, str]]:
    """Enumerate every response to these numbers in which each step serves the last result, once.

    Args:
        numbers: the given numbers.
        largest: skip steps with a larger result.

    Yields:
        The last result, as ``replay`` would return it, and the response.
    """
    yield from _derive([given(n) for n in numbers], [], largest)


def _derive(pool: list[Node], texts: list[str], largest: int) -> Iterator[tuple[Node, str]]:
    for a, others in _each_taken(pool):
        for b, rest in _each_taken(others):
            for operation in OPERATIONS:
                result = apply(a, operation, b)
                if not 0 <= result.value <= largest:
                    continue
                written = [*texts, f"{a.value}{operation}{b.value}={result.value}"]
                if result.steps == len(written):
                    yield result, ",".join(written)
                if rest:
                    yield from _derive([*rest, result], written, largest)


def _each_taken(pool: list[Node]) -> Iterator[tuple[Node, list[Node]]]:
    """Take each value once; of several equal ones the latest, as the verifier does."""
    values = [node.value for node in pool]
    for index, node in enumerate(pool):
        if node.value not in values[index + 1 :]:
            yield node, pool[:index] + pool[index + 1 :]


@cache
def solutions_by_target(numbers: tuple[int, ...]) -> dict[int, dict[str, tuple[str, ...]]]:
    """Solve all problems with these numbers, by steps whose results are at most ``LARGEST_RESULT``.

    Args:
        numbers: the given numbers.

    Returns:
        For each target that can be reached and is not itself given: canonical answer -> the responses that give it.
    """
    found: dict[int, dict[str, set[str]]] = {}
    for node, text in derivations(numbers, LARGEST_RESULT):
        if node.value not in numbers:
            found.setdefault(node.value, {}).setdefault(node.expression, set()).add(text)
    return {
        target: {expression: tuple(sorted(texts)) for expression, texts in sorted(answers.items())}
        for target, answers in sorted(found.items())
    }


def sample_solution(problem: Problem, rng: random.Random) -> Solution:
    """Draw a right answer: an answer uniformly from the distinct ones, then a way to write it.

    Args:
        problem: must be solvable.
        rng: source of randomness.

    Raises:
        ValueError: the problem has no solution.
    """
    answers = solutions_by_target(tuple(sorted(problem.numbers))).get(problem.target)
    if not answers:
        raise ValueError(f"Countdown: {problem.ground_truth} has no solution")
    expression = rng.choice(list(answers))
    return Solution(rng.choice(answers[expression]), expression)
