# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Word problems of several steps, and their verifier: each step is checked, and the first wrong one is known.

The ground truth ``4*6+5-12`` says what a story tells: four boxes of six, five more, twelve given away. A response may
be any text with steps like ``24 + 5 = 29`` in it that ends with ``the answer is 17``. A step takes two numbers that are
still there, those of the story or results, and puts its result in their place: boxes are multiplied, what is gained is
added, what is lost is taken away; several gains or losses may be added up first. The order is free. A response is right
if all its steps are, they use every number, and the answer is the last result. Numbers are natural ones. Markdown's
bullets and bold type around steps and answer do not count.

The file has no import from this package, so that verl can load it by path as its reward function.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

DATA_SOURCE = "word_problems"
MAX_RESPONSE_CHARS = 4000  # longer than any response that could be right; parsing stays cheap whatever a model writes
_NATURAL = r"(?:0|[1-9][0-9]{0,6})"
_GROUND_TRUTH = re.compile(r"[1-9][0-9]{0,3}(\*[1-9][0-9]{0,3})?([+-][1-9][0-9]{0,3}(\*[1-9][0-9]{0,3})?){1,7}")
# whatever looks like arithmetic with a result; only what is a whole step counts as one
_ARITHMETIC = re.compile(r"[0-9+*/=-](?:[0-9+*/= -]|[.,](?=[0-9]))*")
_STEP = re.compile(rf"({_NATURAL}) ?([+*-]) ?({_NATURAL}) ?= ?({_NATURAL})")
_STATEMENT = re.compile("answer is ", re.IGNORECASE | re.ASCII)
_NUMBER_AT_END = re.compile(rf"({_NATURAL})\.?")
_BULLET = re.compile(r"[-*+] +(?=[0-9*])")
_BOLD = re.compile(r"(?<![0-9*])\*\*(?!\*)|\*\*(?![0-9*])")  # between digits it is a power
_BOLD_OR_SPACE = re.compile(f"{_BOLD.pattern}| ")


@dataclass(frozen=True, order=True)
class Term:
    """A number that is there to be used.

    Attributes:
        value: the number, or that of things in a box.
        sign: 1 for what is there or gained, -1 for what is lost.
        boxes: 1, or by how many boxes it has to be multiplied first.
    """

    value: int
    sign: int
    boxes: int = 1

    def __str__(self) -> str:
        number = f"{self.boxes}*{self.value}" if self.boxes > 1 else f"{self.value}"
        return f"{'+' if self.sign > 0 else '-'}{number}"


Numbers = tuple[Term, ...]  # sorted


def terms_of(ground_truth: str) -> list[Term]:
    """What a story tells, in its order.

    Args:
        ground_truth: such as ``4*6+5-12``.

    Raises:
        ValueError: it is malformed.
    """
    if not _GROUND_TRUTH.fullmatch(ground_truth):
        raise ValueError(f"word problems: ground truth {ground_truth[:40]!r} is not of the form '4*6+5-12'")
    terms = []
    for text in re.findall("[+-]?[^+-]+", ground_truth):
        *boxes, value = (int(number) for number in text.lstrip("+-").split("*"))
        terms.append(Term(value, -1 if text[0] == "-" else 1, boxes[0] if boxes else 1))
    return terms


@dataclass(frozen=True)
class Reading:
    """How far a response is right.

    Attributes:
        steps: its right steps, without spaces, up to the first wrong one.
        wrong_from: index of the first character at which a step, or the answer, is none of those that would be right
            there, in [0, length of the text]; None if the response is right. Words between steps are free: what is
            no step but begins like a wrong one is not meant. The length of the text says that only to end there was
            wrong.
        legal: whether all steps before the answer are right, whatever it is.
    """

    steps: tuple[str, ...]
    wrong_from: int | None
    legal: bool


def read(response: str, ground_truth: str) -> Reading:
    """Follow the steps of a response.

    Args:
        response: any text.
        ground_truth: such as ``4*6+5-12``.

    Raises:
        ValueError: the ground truth is malformed.
    """
    possible = {tuple(sorted(terms_of(ground_truth)))}
    steps: list[str] = []
    text = response[:MAX_RESPONSE_CHARS]
    statement = _STATEMENT.search(text)
    for found in _ARITHMETIC.finditer(text, 0, statement.start() if statement else len(text)):
        bullet = _BULLET.match(found[0]) if _begins_line(text, found.start()) else None
        begin = found.start() + (bullet.end() if bullet else 0)
        written = text[begin : found.end()].rstrip(" -")  # a dash in a sentence
        if "=" not in written:
            continue
        legal = [pair for numbers in possible for pair in _legal_steps(numbers)]
        match = _STEP.fullmatch(_BOLD.sub("", written).strip())
        step = "".join(match.groups()[:3]) + "=" + match[4] if match else ""
        after = {numbers for text, numbers in legal if text == step}
        if not after:
            return Reading(
                tuple(steps), begin + _agreement(written, {text for text, _ in legal}, _BOLD_OR_SPACE), False
            )
        possible, steps = after, [*steps, step]
    wrong_from = _wrong_end(text, statement, {numbers[0].value for numbers in possible if len(numbers) == 1})
    return Reading(tuple(steps), len(text) if wrong_from is None and len(text) < len(response) else wrong_from, True)


def _begins_line(text: str, index: int) -> bool:
    return not text[text.rfind("\n", 0, index) + 1 : index].strip()


def _wrong_end(text: str, statement: re.Match[str] | None, answers: set[int]) -> int | None:
    """Where the statement of the answer goes wrong; None if it is right. No answers: the steps are not at an end."""
    if statement is None:
        return len(text)
    if not answers:
        return statement.start()
    match = _number_said(text, statement)
    if match is not None and int(match[1]) in answers:
        return None
    said = text[statement.end() :].rstrip()
    return statement.end() + _agreement(said, {f"{number}." for number in answers}, _BOLD)


def _number_said(text: str, statement: re.Match[str] | None) -> re.Match[str] | None:
    """The number that the statement of the answer ends with; None if it does not."""
    return None if statement is None else _NUMBER_AT_END.fullmatch(_BOLD.sub("", text[statement.end() :].rstrip()))


@lru_cache(maxsize=1 << 12)
def _legal_steps(numbers: Numbers) -> tuple[tuple[str, Numbers], ...]:
    """Every right step, without spaces, and what is there after it."""
    return tuple(_each_legal_step(numbers))


def _each_legal_step(numbers: Numbers) -> Iterator[tuple[str, Numbers]]:
    for i, a in enumerate(numbers):
        others = numbers[:i] + numbers[i + 1 :]
        if a.boxes > 1:
            product = a.boxes * a.value
            for left, right in ((a.boxes, a.value), (a.value, a.boxes)):
                yield f"{left}*{right}={product}", tuple(sorted((*others, Term(product, a.sign))))
            continue
        for j, b in enumerate(others):
            if b.boxes > 1:
                continue
            rest = others[:j] + others[j + 1 :]
            if a.sign == b.sign:
                total = a.value + b.value
                yield f"{a.value}+{b.value}={total}", tuple(sorted((*rest, Term(total, a.sign))))
            elif a.sign > 0 and a.value >= b.value:
                left_over = a.value - b.value
                yield f"{a.value}-{b.value}={left_over}", tuple(sorted((*rest, Term(left_over, 1))))


def _agreement(written: str, legal: set[str], free: re.Pattern[str]) -> int:
    """How many characters of a wrong text are those of the right one that agrees longest, with what is free between."""
    skipped = {index for found in free.finditer(written) for index in range(*found.span())}
    positions = [index for index in range(len(written)) if index not in skipped]
    compact = "".join(written[index] for index in positions)
    common = max((_common_prefix(compact, text) for text in legal), default=0)
    return positions[common] if common < len(positions) else len(written)


def _common_prefix(a: str, b: str) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def answer_of(text: str, ground_truth: str) -> str | None:
    """Name the answer of a response, as ``resrl eval`` asks for it.

    A right one is named by its way, so that distinct right answers are distinct ways; a majority vote counts them apart
    and is with that a lower bound.

    Args:
        text: the response.
        ground_truth: such as ``4*6+5-12``.

    Returns:
        The steps of a right response, such as ``4*6=24,24+5=29,29-12=17``; the number that a wrong one says is the
        answer, such as ``18``; None if it says none.

    Raises:
        ValueError: the ground truth is malformed.
    """
    reading = read(text, ground_truth)
    if reading.wrong_from is None:
        return ",".join(reading.steps)
    match = _number_said(text[:MAX_RESPONSE_CHARS], _STATEMENT.search(text, 0, MAX_RESPONSE_CHARS))
    return match[1] if match else None


def compute_score(
    data_source: str, solution_str: str, ground_truth: str, extra_info: dict | None = None, **kwargs: object
) -> dict[str, float]:
    """Reward function with the signature that verl's reward managers call.

    Args:
        data_source: unused, part of verl's signature.
        solution_str: the model's text; nothing in it can raise.
        ground_truth: such as ``4*6+5-12``.
        extra_info: unused, part of verl's signature.
        **kwargs: unused, part of verl's signature.

    Returns:
        ``score``: 1.0 for a right response, else 0.0. ``legal``: 1.0 if every step is right, whatever the answer.

    Raises:
        ValueError: the ground truth is malformed.
    """
    reading = read(solution_str, ground_truth)
    return {"score": float(reading.wrong_from is None), "legal": float(reading.legal and bool(reading.steps))}
