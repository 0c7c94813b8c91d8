# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
r"""Words in an answer: names, choices, units and nouns behind a number, and words that make it another answer."""

import re
from fractions import Fraction
from functools import cache
from typing import NamedTuple

_TEXT = re.compile(r"\\text\s*\{([^{}]*)\}")
# words that change what is said: "5 or more", "5 is wrong", "not 5", "five halves", "5 squared"
SENSE_CHANGING = frozenset(
    """
    or and nor not no none never neither either but except unless if when where maybe perhaps possibly probably
    is isn isnt was wasn are aren be can cannot could may might should would wrong incorrect false invalid
    untrue unknown undefined impossible unsure guess more less fewer greater smaller larger bigger least most
    minimum maximum than above below under over up between from to through until plus minus times divided by mod
    modulo choose squared cubed factorial half halves third thirds quarter quarters fourth fourths fifth fifths
    tenth tenths hundredth hundredths negative opposite inverse reciprocal root zero one two three four five six
    seven eight nine ten eleven twelve twenty base binary hex octal any all every depends nope question mark
    even odd xor then for with without respectively also plusminus approx range interval
    """.split()  # noqa: SIM905
)
_MULTIPLIERS = {
    "dozen": 12, "hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12,
}  # fmt: skip
_LENGTH, _MASS, _TIME, _MONEY, _ANGLE = "length", "mass", "time", "money", "angle"
_INCH, _POUND = Fraction(254, 10_000), Fraction(45_359_237, 100_000_000)
_UNITS: dict[str, tuple[Fraction | int, dict[str, int]]] = {
    **{name: (Fraction(1, 10**9), {_LENGTH: 1}) for name in ("nm", "nanometer")},
    **{name: (Fraction(1, 10**6), {_LENGTH: 1}) for name in ("um", "micron", "micrometer")},
    **{name: (Fraction(1, 1000), {_LENGTH: 1}) for name in ("mm", "millimeter", "millimetre")},
    **{name: (Fraction(1, 100), {_LENGTH: 1}) for name in ("cm", "centimeter", "centimetre")},
    **{name: (Fraction(1, 10), {_LENGTH: 1}) for name in ("dm", "decimeter", "decimetre")},
    **{name: (1, {_LENGTH: 1}) for name in ("m", "meter", "metre")},
    **{name: (1000, {_LENGTH: 1}) for name in ("km", "kilometer", "kilometre")},
    **{name: (_INCH, {_LENGTH: 1}) for name in ("in", "inch", "inche")},
    **{name: (12 * _INCH, {_LENGTH: 1}) for name in ("ft", "foot", "feet")},
    **{name: (36 * _INCH, {_LENGTH: 1}) for name in ("yd", "yard")},
    **{name: (63360 * _INCH, {_LENGTH: 1}) for name in ("mi", "mile")},
    **{name: (Fraction(1, 10**6), {_MASS: 1}) for name in ("mg", "milligram")},
    **{name: (Fraction(1, 1000), {_MASS: 1}) for name in ("g", "gram")},
    **{name: (1, {_MASS: 1}) for name in ("kg", "kilogram")},
    **{name: (_POUND, {_MASS: 1}) for name in ("lb", "pound")},
    **{name: (_POUND / 16, {_MASS: 1}) for name in ("oz", "ounce")},
    **{name: (Fraction(1, 1000), {_TIME: 1}) for name in ("ms", "millisecond")},
    **{name: (1, {_TIME: 1}) for name in ("s", "sec", "second")},
    **{name: (60, {_TIME: 1}) for name in ("min", "minute")},
    **{name: (3600, {_TIME: 1}) for name in ("h", "hr", "hour")},
    **{name: (86400, {_TIME: 1}) for name in ("day",)},
    **{name: (7 * 86400, {_TIME: 1}) for name in ("week",)},
    **{name: (365 * 86400, {_TIME: 1}) for name in ("yr", "year")},
    **{name: (Fraction(1, 1000), {_LENGTH: 3}) for name in ("L", "l", "liter", "litre")},
    **{name: (Fraction(1, 10**6), {_LENGTH: 3}) for name in ("mL", "ml", "milliliter", "millilitre", "cc")},
    **{name: (1, {_MONEY: 1}) for name in ("dollar", "usd")},
    **{name: (Fraction(1, 100), {_MONEY: 1}) for name in ("cent",)},
    **{name: (1, {_ANGLE: 1}) for name in ("deg", "degree")},
    **{name: (Fraction(180_000_000_000_000, 3_141_592_653_589), {_ANGLE: 1}) for name in ("rad", "radian")},
    **{name: (1, {_MASS: 1, _LENGTH: 1, _TIME: -2}) for name in ("N", "newton")},
    **{name: (1, {_MASS: 1, _LENGTH: 2, _TIME: -2}) for name in ("J", "joule")},
    **{name: (1000, {_MASS: 1, _LENGTH: 2, _TIME: -2}) for name in ("kJ", "kilojoule")},
    **{name: (1, {_MASS: 1, _LENGTH: 2, _TIME: -3}) for name in ("W", "watt")},
    **{name: (1000, {_MASS: 1, _LENGTH: 2, _TIME: -3}) for name in ("kW", "kilowatt")},
    **{name: (1, {_TIME: -1}) for name in ("Hz", "hertz")},
    "mph": (63360 * _INCH / 3600, {_LENGTH: 1, _TIME: -1}),
    "kmh": (Fraction(1000, 3600), {_LENGTH: 1, _TIME: -1}),
    "kph": (Fraction(1000, 3600), {_LENGTH: 1, _TIME: -1}),
}
_TAIL = re.compile(
    r"^(?P<value>.*?[\d)}\]!])\s*(?P<tail>(?:\^\\circ\s*)?(?:(?:\\text\s*\{[^{}]*\}|(?<![a-zA-Z\\])[a-zA-Z][a-zA-Z.]*"
    r"|[/*\s]|\\cdot|\\%)(?:\s*\^\s*\{?\s*-?\d\s*\}?)?)*)\s*$"
)
_FACTOR = re.compile(r"\s*([/*]|\\cdot|per\b)?\s*([a-zA-Z]+)\.?\s*(?:\^\s*\{?\s*(-?\d)\s*\}?)?")


_ABOUT = re.compile(r"^(?:\\approx|\\sim|\\text\{\s*(?:approximately|about|roughly)\s*\}|approximately|about)\s*")


class Unit(NamedTuple):
    """What stands behind a number.

    Attributes:
        factor: how many base units it is, for a known unit.
        dimension: of a known unit, as sorted pairs of quantity and exponent; None for a noun.
        noun: the words, in lower case and the singular.
        multiplier: "million" and the like.
    """

    factor: Fraction
    dimension: tuple[tuple[str, int], ...] | None
    noun: str
    multiplier: int = 1

    @property
    def is_percent(self) -> bool:
        """Whether it is a per cent sign."""
        return self.noun == "%"


def words(text: str) -> str:
    r"""A text without LaTeX's marks of text, in lower case, with single spaces.

    Args:
        text: normalized answer.
    """
    text = _TEXT.sub(r" \1 ", text).replace(r"\text", " ")
    text = re.sub(r"^(?:the|an?)\s+(?=[a-z]{2})", "", " ".join(text.split()).strip(" .{}").lower())
    return re.sub(r"\s*([,()])\s*", r"\1", text)


def is_name(text: str) -> bool:
    """Whether an answer is a word, such as a name or "even", and no mathematics.

    Args:
        text: of ``words``.
    """
    return bool(re.fullmatch(r"[a-z][a-z0-9 .'&-]*", text)) and bool(re.search(r"[a-z]{2}", text))


def choice(text: str) -> str | None:
    r"""The letter of a gold answer to a multiple-choice problem, or None if it is none.

    Args:
        text: normalized gold answer.
    """
    match = re.fullmatch(r"\(?\s*([A-J])\s*\)?", _unwrapped(text))
    return match[1] if match else None


def chosen(text: str) -> str | None:
    r"""The letter that an answer chooses: ``C``, ``(C)``, ``C. 5``, ``(C) 5``, ``Option C``; None if it is not one.

    Args:
        text: normalized answer.
    """
    text = re.sub(r"^(?:option|choice|answer)\s+", "", _unwrapped(text), flags=re.IGNORECASE)
    match = re.fullmatch(r"\(?\s*([A-Ja-j])\s*\)?\.?", text) or re.match(
        r"(?:\(\s*([A-J])\s*\)[:.]?|([A-J])\s*[.):\uff1a](?!\d))\s*(?=(.*))", text, re.DOTALL
    )
    if match is None:
        return None
    letter = next(group for group in match.groups() if group)
    rest = match[3] if match.lastindex == 3 else ""
    others = re.compile(
        r"\(\s*[A-J]\s*\)|(?<![a-zA-Z])[A-J]\s*[.):](?=\s|$)|\b(?:or|and|nor|not|/)\s*\(?[A-J](?![a-zA-Z])|^\s*,?\s*[B-J]\b"
        r"|\b(?:wrong|incorrect|false)\b"
    )
    return None if others.search(rest) else letter.upper()


def _unwrapped(text: str) -> str:
    return " ".join(_TEXT.sub(r" \1 ", text).replace("{", " ").replace("}", " ").split())


@cache
def split_unit(text: str) -> tuple[str, Unit | None]:
    r"""Split an answer into its value and what stands behind it; no unit if the words there change the sense.

    Args:
        text: normalized answer.
    """
    text = _ABOUT.sub("", text)
    if match := re.fullmatch(r"\\text\{([^{}]*\d[^{}]*)\}(.*)", text):  # \text{5 apples}
        text = f"{match[1]} {match[2]}".strip()
    if match := re.fullmatch(r"(-?)\s*\\text\{USD\}\s*(-?)\s*(.*)", text):  # \$5
        text = f"{match[1] or match[2]}{match[3]}" + ("" if re.search(r"[a-z]{4}", match[3]) else r"\text{USD}")
    match = _TAIL.match(text)
    if match is None or not match["tail"].strip() or not match["value"].strip():
        return text, None
    unit = _unit(match["value"], text[match.end("value") :])
    return (match["value"].strip(), unit) if unit else (text, None)


def _unit(value: str, tail: str) -> Unit | None:
    if re.fullmatch(r"(?:\\text\{\s*)?\\%\s*\}?", tail.strip()):
        return Unit(Fraction(1), None, "%")
    marked = r"\text" in tail or r"\circ" in tail
    plain = _TEXT.sub(r" \1 ", tail).replace(r"^\circ", " degree ").replace(r"\cdot", "*")
    plain = " ".join(plain.split()).strip(" .")
    plain = re.sub(r"^degree (?=[CF]$)", "degree", plain)
    multiplier = 1
    while plain.split(" ")[0].lower().rstrip("s") in _MULTIPLIERS:
        first, _, plain = plain.partition(" ")
        multiplier *= _MULTIPLIERS[first.lower().rstrip("s")]
        marked = True
    found = [word for word in re.findall(r"[a-zA-Z]+", plain.lower()) if word != "per"]
    if not plain:
        return Unit(Fraction(1), None, "", multiplier) if multiplier > 1 else None
    if not found or len(found) > 5 or plain[0] in "*/" or plain[-1] in "*/":
        return None
    if any(word in SENSE_CHANGING for word in found):
        return None
    known = _known(plain)
    if known is None and re.search(r"(?<![a-zA-Z])[a-zA-Z](?![a-zA-Z])", _TEXT.sub(" ", tail)):  # "divides x"
        return None
    if not marked:  # 5x and 5m are products; 5 m and 5cm are not
        if all(len(word) == 1 for word in found) and not (known and tail.startswith(" ") and value[-1].isdigit()):
            return None
        if not known and any(len(word) < 3 for word in found):
            return None
    noun = " ".join(word.rstrip("s") or word for word in found)
    if known is None:
        return Unit(Fraction(1), None, noun, multiplier)
    return Unit(known[0], known[1], noun, multiplier)


def _known(text: str) -> tuple[Fraction, tuple[tuple[str, int], ...]] | None:
    """Factor and dimension of a product of known units, or None."""
    factor, dimension, position, power, divided = Fraction(1), dict[str, int](), 0, 1, False
    while position < len(text):
        match = _FACTOR.match(text, position)
        if match is None:
            return None
        divided = divided or match[1] in ("/", "per")
        position, name = match.end(), match[2]
        if name.lower() in ("square", "sq", "cubic", "cu"):
            power = 2 if name.lower().startswith("sq") else 3
            continue
        unit = _UNITS.get(name) or _UNITS.get(name.lower()) or _UNITS.get(name.lower().rstrip("s"))
        if unit is None:
            return None
        exponent = int(match[3] or power) * (-1 if divided else 1)
        factor, power = factor * Fraction(unit[0]) ** exponent, 1
        for quantity, own in unit[1].items():
            dimension[quantity] = dimension.get(quantity, 0) + own * exponent
    return factor, tuple(sorted((quantity, own) for quantity, own in dimension.items() if own))
