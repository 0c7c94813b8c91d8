# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
r"""The shape of an answer: one value, a list, a tuple, an interval, a union; its values are texts for math-verify.

Shapes are read from the text, not from what math-verify makes of the whole: its sets drop values that occur twice, and
it takes ``(1, 2)`` for an interval. Inequalities in one variable become the intervals that they describe.
"""

import re
from dataclasses import dataclass, replace

from verl_resrl.tasks.math_names import ABSOLUTE, SYMBOL, is_name, is_variable
from verl_resrl.tasks.math_notation import closing

# kinds of brackets: "()" is a pair or an open interval
INTERVALS = ("()", "(]", "[)", "[]")
_COMMA_NUMBER = re.compile(r"[-+]?\d{1,3}(?:(?:,\d{3})+|(?: \d{3})+)(?:\.\d+)?")
# ... with something beside it, so that it is no list: 58,500 dollars
_THOUSANDS = re.compile(r"(?<![\d,.(\[{])\d{1,3}(?:,\d{3})+(?![\d,])(?=(?:\.\d+)?\s*(?:\\text|[a-zA-Z\\^*/+-]|$))")
_WORD = r"(?:\\text\s*\{{\s*(?:{0})\s*,?\s*\}}|(?<![a-zA-Z\\])(?:{0})(?![a-zA-Z])|{1})"
_AND = _WORD.format("and", r"\\(?:land|wedge)(?![a-zA-Z])")
_OR = _WORD.format("or", r"\\(?:lor|vee)(?![a-zA-Z])")
_SEPARATOR = re.compile(rf",?\s*{_OR}|,?\s*{_AND}|[,;]")
_IS_OR = re.compile(_OR)
_RELATION = re.compile(r"\\le(?![a-zA-Z])|\\ge(?![a-zA-Z])|\\neq(?![a-zA-Z])|<|>|(?<![:])=|:=")
_CUP = re.compile(r"\\cup(?![a-zA-Z])")
_IN = re.compile(rf"^\s*(\(?\s*{SYMBOL}(?:\s*,\s*{SYMBOL})*\s*\)?)\s*\\in(?![a-zA-Z])\s*(.+)$")
_BUILDER = re.compile(rf"^\\\{{\s*({SYMBOL})\s*(?:\\in\s*\\mathbb\{{R\}}\s*)?(?:\||:|\\mid(?![a-zA-Z]))(.+)\\\}}$")
# "t(0,4]" of one benchmark: brackets that differ are no arguments of a function
_NAMED_INTERVAL = re.compile(r"^[a-zA-Z](?=\(.*\]$|\[.*[)\]]$)")
_EVERYWHERE = re.compile(
    r",?\s*(?:\\text\{\s*)?(?:,\s*)?for (?:all|any|every)(?: real| integers?)?(?: numbers?)?\s*\}?\s*"
    r"(?:[a-zA-Z]\s*(?:\\in\s*\\mathbb\{[RZNQC]\})?)?\s*$|,?\s*\\forall\s*[a-zA-Z]\s*(?:\\in\s*\\mathbb\{[RZNQC]\})?\s*$"
)
_MODULUS = re.compile(r"\s*\(?\\pmod\s*\{[^{}]*\}\)?\s*$|\s*\(mod\s+\d+\)\s*$|\s*\\text\{\s*\(?mod\b[^{}]*\}\s*$")


@dataclass(frozen=True)
class Shape:
    r"""An answer that has been taken apart.

    Attributes:
        kind: "one", "list", "set", "union", one of the intervals' brackets, "number" for one that may also be a list.
        text: of the whole, normalized.
        parts: of a list, set, tuple, interval or union.
        names: what the value is said to be, such as ``x`` in ``x = 5``; empty if it is not said.
        equals: of a chain such as ``2 \cdot 17 = 34``, all values.
        strict: whether it came of an inequality, which is no pair.
    """

    kind: str
    text: str
    parts: tuple["Shape", ...] = ()
    names: tuple[str, ...] = ()
    equals: tuple[str, ...] = ()
    strict: bool = False


def read(text: str) -> Shape:
    """Take an answer apart.

    Args:
        text: normalized.
    """
    text = _EVERYWHERE.sub("", _unbraced(text)).strip()
    text = _MODULUS.sub("", text) if "\\equiv" not in text else text
    text = _NAMED_INTERVAL.sub("", text)
    if _COMMA_NUMBER.fullmatch(text):
        values = tuple(Shape("one", part) for part in text.split(","))
        return Shape("number", text.replace(",", "").replace(" ", ""), values)
    text = _THOUSANDS.sub(lambda match: match[0].replace(",", ""), text)
    if match := _BUILDER.match(text):
        condition = read(match[2])
        if condition.kind in (*INTERVALS, "union"):
            return condition
    groups = split(text, re.compile(";"))
    if len(groups) > 1 and any(len(split(group, re.compile(","))) > 1 for group in groups):  # x=1, y=2; x=3, y=4
        return Shape("list", text, tuple(read(f"({group})") for group in groups))
    parts = split(text, _SEPARATOR)
    if len(parts) > 1:
        return _list(text, parts)
    if match := _IN.match(text):
        return replace(read(match[2]), names=(match[1].strip(),))
    if text == r"\mathbb{R}":
        return Shape("()", text, (Shape("one", r"-\infty"), Shape("one", r"\infty")))
    unions = split(text, _CUP)
    if len(unions) > 1:
        return Shape("union", text, tuple(read(part) for part in unions))
    return _bracketed(text) or _inequality(text) or _equation(text) or _plus_minus(text) or Shape("one", text)


def _unbraced(text: str) -> str:
    text = text.strip().strip(".,;").strip()
    while text.startswith("{") and closing(text, 0) == len(text) - 1:
        text = text[1:-1].strip()
    return text


def split(text: str, separator: re.Pattern[str]) -> list[str]:
    """Split a text where it is inside no brackets; empty parts are dropped.

    Args:
        text: normalized.
        separator: between the parts.
    """
    parts, start, depth, position = list[str](), 0, 0, 0
    while position < len(text):
        depth += (text[position] in "([{") - (text[position] in ")]}")
        match = separator.match(text, position) if depth == 0 else None
        if match and match.end() > position:
            parts.append(text[start:position])
            start = position = match.end()
        else:
            # a word inside a command's name is no separator
            command = re.compile(r"\\(?:[a-zA-Z]+|[{}])").match(text, position)
            depth += (command is not None and command[0] == r"\{") - (command is not None and command[0] == r"\}")
            position = command.end() if command else position + 1
    parts.append(text[start:])
    return [part.strip() for part in parts if part.strip(" .")]


def _list(text: str, texts: list[str]) -> Shape:
    """Several values; of inequalities between which is "or", the union of what they describe."""
    parts: list[Shape] = []
    for part in map(read, texts):
        parts += part.parts if part.kind == "list" else [part]
    disjoint = _IS_OR.search(text) or not re.search(_AND, text)
    if disjoint and any(part.strict for part in parts) and all(part.strict or part.names for part in parts):
        pieces = [piece for part in parts for piece in (part.parts if part.kind == "union" else (_piece(part),))]
        return Shape("union", text, tuple(pieces), names=parts[0].names, strict=True)
    return Shape("list", text, tuple(parts))


def _piece(part: Shape) -> Shape:
    """A piece of a union: an interval, or the one number of ``x = 1``."""
    return part if part.strict else Shape("set", part.text, (Shape("one", part.equals[-1]),)) if part.equals else part


def _bracketed(text: str) -> Shape | None:
    """A tuple, an interval, a set, or brackets around one value."""
    if text.startswith(r"\{") and text.endswith(r"\}") and _closes_last(text, r"\{", r"\}"):
        return Shape("set", text, _elements(text[2:-2].strip()))
    if text[:1] not in ("(", "[", "]") or text[-1:] not in (")", "]", "["):
        return None
    first, last = text[0], text[-1]
    if first == "]" or last == "[":  # ]0, 1[
        first, last = {"]": "("}.get(first, first), {"[": ")"}.get(last, last)
    elif closing(text, 0) != len(text) - 1:
        return None
    inner = split(text[1:-1], re.compile(r"[,;]"))
    if len(inner) > 1:
        kind = first + last if len(inner) == 2 else "()"
        return Shape(kind, text, tuple(read(part) for part in inner))
    return read(text[1:-1]) if first + last in ("()", "[]") and inner else None


def _closes_last(text: str, left: str, right: str) -> bool:
    depth = 0
    for match in re.finditer(f"{re.escape(left)}|{re.escape(right)}", text):
        depth += 1 if match[0] == left else -1
        if depth == 0:
            return match.end() == len(text)
    return False


def _elements(text: str) -> tuple[Shape, ...]:
    shape = read(text)
    return shape.parts if shape.kind in ("list", "number") and shape.parts else (shape,)


def _inequality(text: str) -> Shape | None:
    """The interval of ``x > 2``, ``-2 < x <= 7`` or ``x != 2``."""
    operators = [match[0].strip() for match in _RELATION.finditer(text)]
    if not operators or any(operator in ("=", ":=") for operator in operators) or len(operators) > 2:
        return None
    sides = [side.strip() for side in _RELATION.split(text)]
    if not all(sides):
        return None
    if len(sides) == 2 and not is_variable(sides[0]):
        sides, operators = sides[::-1], [_FLIPPED[operators[0]]]
    if len(sides) == 2:
        return _half_line(text, sides[0], operators[0], sides[1])
    low, name, high = sides
    if not is_variable(name) or {operators[0], operators[1]} - {"<", r"\le"}:
        low, high, operators = high, low, [_FLIPPED.get(operator, "") for operator in operators[::-1]]
        if not is_variable(name) or {operators[0], operators[1]} - {"<", r"\le"}:
            return None
    kind = ("[" if operators[0] == r"\le" else "(") + ("]" if operators[1] == r"\le" else ")")
    return Shape(kind, text, (read(low), read(high)), names=(name,), strict=True)


_FLIPPED = {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le", r"\neq": r"\neq"}


def _half_line(text: str, name: str, operator: str, bound: str) -> Shape | None:
    if not is_variable(name) or re.search(rf"(?<![a-zA-Z\\]){re.escape(name)}(?![a-zA-Z])", bound):
        return None
    below, above = Shape("one", r"-\infty"), Shape("one", r"\infty")
    if absolute := ABSOLUTE.fullmatch(name.strip()):
        inner, minus = absolute[1], f"-({bound})"
        if operator in ("<", r"\le"):
            return _inequality(f"{minus} {operator} {inner} {operator} {bound}")
        pieces = (_half_line(text, inner, _FLIPPED[operator], minus), _half_line(text, inner, operator, bound))
        known = tuple(piece for piece in pieces if piece is not None)
        return Shape("union", text, known, names=(inner,), strict=True) if operator in (">", r"\ge") else None
    end = read(bound)
    if operator == r"\neq":
        pieces = (Shape("()", text, (below, end)), Shape("()", text, (end, above)))
        return Shape("union", text, pieces, names=(name,), strict=True)
    kind = {"<": "()", r"\le": "(]", ">": "()", r"\ge": "[)"}[operator]
    return Shape(kind, text, (below, end) if operator in ("<", r"\le") else (end, above), names=(name,), strict=True)


def _equation(text: str) -> Shape | None:
    r"""What ``x = 5``, ``f(x) = x``, ``2 \cdot 17 = 34`` or ``x + y = 5`` says; the value is what comes last."""
    if any(match[0] not in ("=", ":=") for match in _RELATION.finditer(text)):
        return None
    sides = [side.strip() for side in _RELATION.split(text)]
    if len(sides) < 2 or not all(sides):
        return None
    names = tuple(side for side in sides[:-1] if is_name(side))
    values = tuple(side for side in sides[:-1] if not is_name(side))
    value = read(sides[-1])
    return replace(value, text=text if value.kind == "one" else value.text, names=names, equals=(*values, sides[-1]))


def _plus_minus(text: str) -> Shape | None:
    r"""Both values of ``1 \pm \sqrt{19}``."""
    if not re.search(r"\\(?:pm|mp)(?![a-zA-Z])", text):
        return None
    signs = (("+", "-"), ("-", "+"))
    texts = [re.sub(r"\\pm(?![a-zA-Z])", a, re.sub(r"\\mp(?![a-zA-Z])", b, text)) for a, b in signs]
    return Shape("list", text, tuple(Shape("one", re.sub(r"^\s*\+", "", part).strip()) for part in texts))
