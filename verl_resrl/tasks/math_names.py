# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""What only names a value: variables, values of functions, points, figures."""

import re

SYMBOL = r"(?:[a-zA-Z]|\\[a-zA-Z]+|\\text\{[^{}]*\})(?:_\{[^{}]*\}|_\w|\^\{?\\prime\}?)*"
_VARIABLE = re.compile(rf"\(?\s*{SYMBOL}\s*\)?")
ABSOLUTE = re.compile(r"\|\s*([a-zA-Z])\s*\|")
_FUNCTION = re.compile(rf"\s*{SYMBOL}\s*\(\s*{SYMBOL}(?:\s*,\s*{SYMBOL})*\s*\)\s*")
_POINT = re.compile(r"\(\s*[a-zA-Z]\w*(?:_\{\w+\})?(?:\s*,\s*[a-zA-Z]\w*(?:_\{\w+\})?)*\s*\)")  # (x, y)
_FIGURE = re.compile(  # AB, \angle ABC, P(A), S_1 : S
    r"(?:\\(?:angle|triangle|text\{[^{}]*\}|overline|widehat|bar|hat|vec|min|max)\s*|[A-Z](?:_\w|_\{\w+\})?\s*|[{}|:]"
    r"|\([^()]*\))+"
)


def is_variable(text: str) -> bool:
    """Whether a text is a variable, a function's value such as ``f(x)``, or the absolute value of a variable.

    Args:
        text: normalized.
    """
    return bool(
        _VARIABLE.fullmatch(text) or _FUNCTION.fullmatch(text) or ABSOLUTE.fullmatch(text)
    ) and text.strip() not in (r"\pi", r"\infty", "e")


def is_name(text: str) -> bool:
    """Whether the left side of an equation only names what the right side gives: ``x``, ``f(x)``, ``m_{max}``, ``AB``.

    Args:
        text: normalized.
    """
    text = text.strip()
    return (
        is_variable(text)
        or bool(re.fullmatch(r"\\frac\{[A-Z]+\}\{[A-Z]+\}", text))
        or bool(_POINT.fullmatch(text) or _FIGURE.fullmatch(text))
    )
