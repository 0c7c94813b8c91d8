# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Does a response to a mathematics problem give the right answer? Without any limit of time or memory.

``math_reward`` runs this in processes that can be killed. The way of an answer: ``math_answer`` finds it,
``math_notation`` writes it as math-verify reads it, ``math_reading`` takes it apart, ``math_value`` compares its parts.
"""

from typing import NamedTuple

from verl_resrl.tasks.math_answer import Answer, balanced, find_answer, find_boxes
from verl_resrl.tasks.math_equal import equal, equal_list

TAIL_CHARS = 20_000  # the answer is at the end; what comes before is not looked at
PRED_CHARS = 200
MAX_ANSWER_CHARS, MAX_NESTING = 1_000, 50  # beyond them an answer is wrong, without a look


class Grade(NamedTuple):
    """What a response gave.

    Attributes:
        right: whether it is the answer.
        pred: the answer as it is written, at most ``PRED_CHARS`` characters; empty if there is none.
    """

    right: bool
    pred: str


def grade(response: str, ground_truth: str) -> Grade:
    r"""Compare a response's answer with the right one.

    The answer is the last one that the response marks as such; several boxes are a list if the right answer is one.

    Args:
        response: the model's text, or its end; nothing in it can raise, but for running out of memory.
        ground_truth: LaTeX or plain text of the right answer.
    """
    answer = find_answer(response[-TAIL_CHARS:])
    if answer is None or not answer.text.strip():
        return Grade(False, "")
    return Grade(_is_right(answer, _gold(ground_truth)), _printable(answer.text.strip()))


def _gold(ground_truth: str) -> str:
    """The gold answer; where a data set has the whole solution there, what that has in its box."""
    answer = find_answer(ground_truth) if find_boxes(ground_truth) else None
    return balanced(answer.text if answer else ground_truth).strip()


def _is_right(answer: Answer, gold: str) -> bool:
    if any(_is_absurd(text) for text in (answer.text, *(", ".join(texts) for texts in answer.lists))):
        return False
    return equal(gold, answer.text) or any(equal_list(gold, texts) for texts in answer.lists)


def _is_absurd(text: str) -> bool:
    depth = deepest = 0
    for character in text:
        depth += (character in "{([") - (character in "])}")
        deepest = max(deepest, abs(depth))
    return len(text) > MAX_ANSWER_CHARS or deepest > MAX_NESTING


def _printable(text: str) -> str:
    """Short, and without the lone surrogates that no file or log can hold."""
    return text[:PRED_CHARS].encode("utf-8", "replace").decode("utf-8")
