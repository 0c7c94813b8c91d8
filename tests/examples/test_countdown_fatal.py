# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The first fatal character of a Countdown response: by hand, and against all right answers written out."""

from functools import cache
from itertools import permutations

import pytest
from countdown_fatal import first_fatal_character
from hypothesis import example, given
from hypothesis import strategies as st

from tests.tasks.test_countdown import OPERATIONS, independent_score


@pytest.mark.parametrize(
    ("response", "fatal"),
    [
        ("6+9=15,8*4=32,15+32=47", None),
        (" 6+9=15,8*4=32,15+32=47\n", None),
        ("6+9=15,8*4=33,15+33=48", "6+9=15,8*4=3"),  # wrong digit
        ("6+9=15,8*4=32,15+32=48", "6+9=15,8*4=32,15+32=4"),
        ("6+9=15,8*4=32,15*", "6+9=15,8*4=32,15"),  # 15 - 32 and 15 * 32 are of no use
        ("6+9=15,8*4=32,32-15=17", "6+9=15,8*4=32,32"),
        ("6+9=15,8*4=32,7+", "6+9=15,8*4=32,"),  # no such number
        ("6+9=15,8*4=32", "6+9=15,8*4=32"),  # stopped too early
        ("6+9=15,8*4=32,15+32=47,", "6+9=15,8*4=32,15+32=47"),  # nothing left to go on with
        ("6+9=15,8*4=32,15+32=47 x", "6+9=15,8*4=32,15+32=47 "),
        ("6+9=15 ,8*4=32", "6+9=15"),
        ("8/4", "8"),
        ("rubbish", ""),
        ("  rubbish", "  "),
        ("", ""),
        ("6+9=15,8+4=12,15*12=180", "6+9=15,8"),  # legal, but 15 and 12 do not make 47
    ],
)
def test_by_hand(response: str, fatal: str | None) -> None:
    assert first_fatal_character(response, "8649>47") == (None if fatal is None else len(fatal))


def test_unsolvable_problem_is_lost_from_the_start() -> None:
    assert first_fatal_character(" 1+1=2", "111>99") == 0


def test_text_that_the_verifier_does_not_read() -> None:
    assert first_fatal_character(" " * 1200, "8649>47") == 1000


def test_malformed_ground_truth_is_named() -> None:
    with pytest.raises(ValueError, match="'8649' is not of the form"):
        first_fatal_character("8+6=14", "8649")


@cache
def right_answers(numbers: tuple[int, ...], target: int) -> frozenset[str]:
    """Write out every sequence of legal steps and keep what an independent verifier calls right."""
    texts = {""}
    complete = set()
    for _ in range(len(numbers) - 1):
        longer = set()
        for text in texts:
            left = list(numbers)
            for step in filter(None, text.split(",")):
                expression, result = step.split("=")
                operator = next(o for o in OPERATIONS if o in expression)
                for operand in expression.split(operator):
                    left.remove(int(operand))
                left.append(int(result))
            for a, b in permutations(left, 2):
                for operator, apply in OPERATIONS.items():
                    if apply(a, b) >= 0:
                        longer.add(f"{text}{',' if text else ''}{a}{operator}{b}={apply(a, b)}")
        complete |= longer
        texts = longer
    return frozenset(text for text in complete if independent_score(numbers, target, text))


@st.composite
def responses(draw: st.DrawFn) -> tuple[tuple[int, ...], int, str]:
    """A problem of three numbers and text near one of its right answers, or of another problem."""
    numbers = tuple(draw(st.lists(st.integers(1, 9), min_size=3, max_size=3)))
    target = draw(st.integers(1, 40))
    answers = sorted(right_answers(numbers, draw(st.sampled_from([target, target, draw(st.integers(1, 40))]))))
    text = draw(st.sampled_from(answers)) if answers else ""
    cut = draw(st.integers(0, len(text)))
    return numbers, target, text[:cut] + draw(st.text("123456789+-*=, ", max_size=4)) + text[cut + 1 :]


@given(responses())
@example(((1, 1, 1), 2, "1+1=2,1+2=3"))
@example(((2, 3, 9), 5, "2+3=5,9-5=4"))
def test_is_where_no_right_answer_begins_alike(case: tuple[tuple[int, ...], int, str]) -> None:
    numbers, target, text = case
    text = text.strip()  # white space around an answer is for the tests by hand
    answers = right_answers(numbers, target)
    beginnings = {answer[:i] for answer in answers for i in range(len(answer) + 1)}
    if text in answers:
        expected = None
    elif not answers:
        expected = 0
    else:
        alive = max(i for i in range(len(text) + 1) if text[:i] in beginnings)
        expected = alive
        if text[:alive] in answers:  # space may follow an answer
            expected += len(text[alive:]) - len(text[alive:].lstrip())
    assert first_fatal_character(text, "".join(map(str, numbers)) + f">{target}") == expected
