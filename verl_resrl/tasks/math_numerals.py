# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Numerals that are no expressions: digits in another base, times of day, ratios."""

import re

_BASE = re.compile(r"^\(?([0-9A-F]+)\)?\s*(?:_\s*\{?\s*(\w+)\s*\}?|\(?\s*base[\s-]+(\w+)\s*\)?)$")
_BASE_NAMES = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}
_TIME = re.compile(r"^0*(\d{1,2}):(\d{2})(?:\s*(?:\\text\{)?\s*([ap])\.?m\.?\s*\}?)?$", re.IGNORECASE)
_RATIO = re.compile(r"^(\d+)\s*:\s*(\d+)$")


def same_base(gold: str, answer: str) -> bool | None:
    r"""Compare digits with a base: ``1001_2`` may be written ``1001``, never ``1001_3``.

    Args:
        gold: normalized.
        answer: normalized.

    Returns:
        None if neither has a base.
    """
    ours, theirs = _digits(gold), _digits(answer)
    if ours is None and theirs is None:
        return None
    first, second = ours or (gold.strip(), None), theirs or (answer.strip(), None)
    if first[1] and second[1] and first[1] != second[1]:
        return False
    return first[0].lstrip("0") == second[0].lstrip("0")


def _digits(text: str) -> tuple[str, int | None] | None:
    match = _BASE.match(re.sub(r"\\text\s*\{([^{}]*)\}", r" \1 ", text).strip())
    if match is None:
        return None
    base = next(group for group in match.groups()[1:] if group)
    number = int(base) if base.isdecimal() else _BASE_NAMES.get(base.lower())
    return (match[1], number) if number else None


def same_time(gold: str, answer: str) -> bool | None:
    """Compare times of day by hour, minute and half of the day.

    Args:
        gold: normalized.
        answer: normalized.

    Returns:
        None if the gold answer is no time.
    """
    ours = _TIME.match(gold.strip())
    if ours is None:
        return None
    theirs = _TIME.match(answer.strip())
    if theirs is None or (int(ours[1]), ours[2]) != (int(theirs[1]), theirs[2]):
        return False
    return not ours[3] or not theirs[3] or ours[3].lower() == theirs[3].lower()


def ratio(text: str) -> str:
    """``3:4`` as a fraction; other texts as they are.

    Args:
        text: normalized.
    """
    match = _RATIO.match(text.strip())
    return rf"\frac{{{match[1]}}}{{{match[2]}}}" if match else text
