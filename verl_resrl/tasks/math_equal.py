# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Is an answer the gold answer? Both are normalized and taken apart; their parts are compared."""

import re
from collections.abc import Sequence
from dataclasses import replace

from verl_resrl.tasks.math_names import is_name
from verl_resrl.tasks.math_notation import normalized
from verl_resrl.tasks.math_numerals import ratio, same_base, same_time
from verl_resrl.tasks.math_reading import INTERVALS, Shape, read
from verl_resrl.tasks.math_value import approximates, is_integer, is_number, same_value
from verl_resrl.tasks.math_words import Unit, choice, chosen, split_unit, words
from verl_resrl.tasks.math_words import is_name as is_word

_TEXT = re.compile(r"\\text\s*\{([^{}]*)\}")
_SPACE = re.compile(r"\s+(?!\d)|(?<!\d)\s+")  # 3 4 is not 34


def equal(gold: str, answer: str) -> bool:
    """Whether an answer is the gold answer.

    Args:
        gold: LaTeX or plain text.
        answer: LaTeX or plain text, without what marks it.
    """
    gold, answer = normalized(gold), normalized(answer)
    if not answer or not gold:
        return False
    letter = choice(gold)
    if letter is not None:
        return chosen(answer) == letter
    if _same_text(gold, answer):
        return True
    gold_words = words(gold)
    if is_word(gold_words) and gold_words == words(answer):
        return True
    if r"\ldots" in gold + answer or r"\forall" in gold + answer:
        return False
    return same(read(gold), read(answer))


def _same_text(gold: str, answer: str) -> bool:
    """Whether two texts are the same but for spaces and for what is marked as text."""
    plain = [_SPACE.sub("", _TEXT.sub(r" \1 ", text)).strip(".") for text in (gold, answer)]
    return plain[0] == plain[1] != ""


def equal_list(gold: str, answers: Sequence[str]) -> bool:
    """Whether answers that are marked one by one are together the gold answer, which is a list.

    Args:
        gold: LaTeX or plain text.
        answers: each without what marks it.
    """
    shape = read(normalized(gold))
    parts = tuple(read(normalized(answer)) for answer in answers)
    if shape.kind == "one" or any(part.kind == "list" for part in parts):
        return False
    return same(shape, Shape("list", ", ".join(answers), parts))


def same(gold: Shape, answer: Shape) -> bool:
    """Whether two shapes are the same answer.

    Args:
        gold: the right one.
        answer: another.
    """
    if gold.kind == "number" or answer.kind == "number":  # 1,000 is a number, and may be a list
        pairs = ((x, y) for x in _readings(gold) for y in _readings(answer))
        return any(same(x, y) for x, y in pairs if {x.kind, y.kind} != {"list", "()"})
    if gold.kind == "one" and answer.kind == "one":
        return _same_one(gold, answer)
    if gold.names and answer.names and not _same_names(gold, answer):
        return False
    if (gold.strict or answer.strict) and "one" in (gold.kind, answer.kind):  # -x > -1
        return _has_relation(gold.text) and _has_relation(answer.text) and same_value(gold.text, answer.text)
    if {gold.kind, answer.kind} == {"one", "union"}:  # \mathbb{R} \setminus \{0\}
        return same_value(gold.text, answer.text)
    if gold.kind == "one" or answer.kind == "one":
        many, one = (answer, gold) if gold.kind == "one" else (gold, answer)
        return many.kind == "set" and len(many.parts) == 1 and is_number(one.text) and same(many.parts[0], one)
    if gold.kind in INTERVALS and gold.kind == answer.kind:
        return _in_order(gold, answer)
    kinds = {gold.kind, answer.kind}
    if kinds == {"()", "list"} and not (gold.strict or answer.strict):
        return _in_order(gold, answer)
    if kinds <= {"list", "set"} or kinds == {"union"}:
        return _in_any_order(gold.parts, answer.parts) or (kinds == {"union"} and same_value(gold.text, answer.text))
    return "union" in kinds and same_value(gold.text, answer.text)


def _has_relation(text: str) -> bool:
    return bool(re.search(r"[<>]|\\[lg]e(?![a-zA-Z])", text))


def _readings(shape: Shape) -> tuple[Shape, ...]:
    if shape.kind != "number":
        return (shape,)
    return Shape("one", shape.text), Shape("list", shape.text, shape.parts)


def _in_order(gold: Shape, answer: Shape) -> bool:
    pairs = zip(gold.parts, answer.parts, strict=False)
    return len(gold.parts) == len(answer.parts) and all(same(x, y) for x, y in pairs)


def _in_any_order(golds: Sequence[Shape], answers: Sequence[Shape]) -> bool:
    """Each gold value once: a value that occurs twice must be given twice."""
    left = list(answers)
    if len(golds) != len(left):
        return False
    for gold in golds:
        match = next((index for index, answer in enumerate(left) if same(gold, answer)), None)
        if match is None:
            return False
        del left[match]
    return True


def _same_one(gold: Shape, answer: Shape) -> bool:
    if gold.equals or answer.equals:
        return _same_equation(gold, answer)
    if r"\approx" in answer.text.strip()[1:]:  # \frac{14}{3} \approx 4.67
        sides = [side.strip() for side in answer.text.split(r"\approx")]
        rounded = all(approximates(sides[0], side) for side in sides[1:])
        # not any of them, which would be as many guesses; an integer is not rounded
        ends = sides[:1] if is_integer(sides[0]) else [sides[0], sides[-1]]
        return rounded and any(same(gold, Shape("one", side)) for side in ends)
    for special in (same_base, same_time):
        verdict = special(gold.text, answer.text)
        if verdict is not None:
            return verdict
    gold_value, gold_unit = split_unit(gold.text)
    if gold_unit is None and not is_number(gold.text):
        return same_value(gold.text, answer.text)
    answer_value, unit = split_unit(answer.text)
    return _same_quantity(ratio(gold_value), gold_unit, ratio(answer_value), unit)


def _same_quantity(gold: str, gold_unit: Unit | None, answer: str, unit: Unit | None) -> bool:
    gold, answer = _times(gold, gold_unit), _times(answer, unit)
    percents = [bool(u and u.is_percent) for u in (gold_unit, unit)]
    if percents[0] != percents[1]:  # 10% is 0.1, and people write 10 for it
        hundredth = rf"\frac{{{gold if percents[0] else answer}}}{{100}}"
        pair = (hundredth, answer) if percents[0] else (gold, hundredth)
        other = unit if percents[0] else gold_unit
        return (other is None or not other.noun) and (same_value(gold, answer) or same_value(*pair))
    if gold_unit is None or unit is None or not gold_unit.noun or not unit.noun:
        return same_value(gold, answer)
    if gold_unit.dimension is None or unit.dimension is None:
        return gold_unit.noun == unit.noun and same_value(gold, answer)
    if gold_unit.dimension != unit.dimension:
        return False
    factor = unit.factor / gold_unit.factor
    if factor == 1:
        return same_value(gold, answer)
    return same_value(gold, rf"({answer})\cdot\frac{{{factor.numerator}}}{{{factor.denominator}}}")


def _times(text: str, unit: Unit | None) -> str:
    return text if unit is None or unit.multiplier == 1 else rf"({text})\cdot {unit.multiplier}"


def _same_equation(gold: Shape, answer: Shape) -> bool:
    r"""``x = 5`` is 5, ``2 \cdot 17 = 34`` is 34, ``6 = 5`` is nothing, ``2x - y = 3`` is ``y = 2x - 3``."""
    gold_value, value = _value(gold), _value(answer)
    if gold.equals and answer.equals:
        if gold.names and answer.names:
            if _same_names(gold, answer) and _holds(answer) and same(gold_value, _renamed(gold, answer, value)):
                return True
            if is_number(gold_value.text):
                return False
        elif answer.names and not gold.names and len(gold.equals) == 1:
            return _holds(answer) and same(gold_value, value)
        return len(gold.equals) + len(gold.names) == 2 and same_value(gold.text, answer.text)
    if gold.equals:
        if re.fullmatch(r"[A-Z]{2,}", gold_value.text):  # MR = SRMC is a condition, not the value of MR
            return False
        return len(gold.names) + 1 >= len(gold.equals) and bool(gold.names) and same(gold_value, value)
    return _holds(answer) and same(gold_value, value)


def _value(shape: Shape) -> Shape:
    return replace(shape, text=shape.equals[-1], equals=(), names=()) if shape.equals else shape


def _holds(answer: Shape) -> bool:
    """Whether all sides of an equation before the last one only name the value, or are equal to it."""
    *before, last = answer.equals
    for side in before:
        if is_number(side):
            if not same_value(last, side):
                return False
        elif not _is_asked_for(side, last):
            return False
    return True


def _is_asked_for(side: str, value: str) -> bool:
    """Whether a problem may ask for the left side: ``m + n = 34`` answers, ``x + 1 = 5`` is unsolved."""
    if not is_number(value):
        return is_name(side)
    letters = set(re.findall(r"(?<![a-zA-Z\\])[a-zA-Z](?![a-zA-Z])", side))
    return len(letters) != 1 or not re.search(r"(?<![_^{\d(])\d", side)


def _same_names(gold: Shape, answer: Shape) -> bool:
    def plain(name: str) -> str:
        name = re.sub(r"_\{?\w*\}?|\\text|[\s{}\\()]", "", re.sub(r"\(.*\)", "", name))
        return name.lower()

    return bool({plain(name) for name in gold.names} & {plain(name) for name in answer.names})


def _renamed(gold: Shape, answer: Shape, value: Shape) -> Shape:
    """``f(n) = n`` for ``f(x) = x``: the argument's letter is free."""
    arguments = [re.search(r"\(\s*([a-zA-Z])\s*\)$", names[0].strip()) for names in (gold.names, answer.names)]
    if arguments[0] is None or arguments[1] is None or arguments[0][1] == arguments[1][1]:
        return value
    old, new = arguments[1][1], arguments[0][1]
    if re.search(rf"(?<![a-zA-Z\\]){new}(?![a-zA-Z])", value.text):
        return value
    return replace(value, text=re.sub(rf"(?<![a-zA-Z\\]){old}(?![a-zA-Z])", new, value.text))
