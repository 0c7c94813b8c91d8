# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
r"""Are two expressions equal? math-verify's parser reads them; they are compared at points, then by math-verify.

math-verify itself compares numbers after rounding to six decimals, which makes all tiny numbers equal. Here numbers are
exact, decimals count as the fractions that they are, and a decimal may stand for a number that it approximates to
``TOLERANCE``. Expressions with variables are equal if they are at every one of a few points: a polynomial identity test
(Schwartz, doi 10.1145/322217.322225), for any expression that can be evaluated.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import sympy
from latex2sympy2_extended import latex2sympy
from latex2sympy2_extended.latex2sympy2 import ConversionConfig
from math_verify import verify
from sympy.core.function import AppliedUndef

TOLERANCE = 1e-6  # of a decimal, absolute; for numbers below 0.1 it is 1e-5 of the number
_DIGITS, _EXACT = 40, sympy.Float("1e-30", 40)
# what math-verify's parser reads in spite of its fault: an operator without an operand, "34 35", digits that have a
# bar or a prime
_REFUSED = re.compile(r"(?:\\cdot|[-+*/^_=<>])\s*(?:$|[)\]}])|[\d.]\s+[\d.]|\\overline\s*\{\d|\d\s*'")
# positive points first: what is equal there only, such as sqrt(x^2) and x, may differ at the others
_POINTS = tuple(
    (sympy.Rational(first, 100), sympy.Rational(step, 100))
    for first, step in ((137, 61), (83, 229), (271, 113), (-117, 71), (-59, -183))
)


def same_value(gold: str, answer: str) -> bool:
    """Whether two expressions, equations or other single things are equal.

    Args:
        gold: normalized.
        answer: normalized.
    """
    case = _both_cases(gold)
    a, b = parsed(gold, case), parsed(answer, case)
    if a is None or b is None:
        return False
    a, b = (value.doit() if isinstance(value, sympy.MatrixExpr) else value for value in (a, b))
    if isinstance(a, sympy.MatrixBase) and isinstance(b, sympy.MatrixBase):
        pairs = zip(a.flat(), b.flat(), strict=False)
        return a.shape == b.shape and all(_same_expression(x, y) for x, y in pairs)
    if isinstance(a, sympy.Expr) and isinstance(b, sympy.Expr):
        return _same_expression(a, b)
    if isinstance(a, sympy.Eq) and isinstance(b, sympy.Eq):
        return _same_equation(a, b)
    if isinstance(a, sympy.Expr) or isinstance(b, sympy.Expr):
        return False
    return bool(verify(a, b, timeout_seconds=None, allow_set_relation_comp=True))


def approximates(exact: str, rounded: str) -> bool:
    """Whether a number is another one but for what rounding may take, 1%.

    Args:
        exact: normalized.
        rounded: normalized.
    """
    a, b = parsed(exact, False), parsed(rounded, False)
    if not (is_number(exact) and is_number(rounded)):
        return False
    x, y = _evaluated(_exact(a), {}), _evaluated(_exact(b), {})
    return x is not None and y is not None and bool(x.is_finite and y.is_finite) and bool(abs(x - y) <= 0.01 * abs(x))


def is_number(text: str) -> bool:
    """Whether a text is an expression without variables.

    Args:
        text: normalized.
    """
    value = parsed(text, False)
    return isinstance(value, sympy.Expr) and not _exact(value).free_symbols


def is_integer(text: str) -> bool:
    """Whether a text is an expression whose value is an integer.

    Args:
        text: normalized.
    """
    value = _evaluated(_exact(parsed(text, False)), {}) if is_number(text) else None
    if value is None or not (value.is_real and value.is_finite):
        return False
    return bool(abs(value - value.round()) <= _EXACT * abs(value))


@lru_cache(64)
def parsed(text: str, case: bool) -> Any:
    """A text as math-verify's parser reads the whole of it, or None if it cannot.

    Args:
        text: normalized.
        case: whether upper and lower case letters are different variables.
    """
    if not text.strip() or _REFUSED.search(text):
        return None
    mixed = re.sub(r"(?<![\d.}^_{])(\d+)\s*\\frac\s*\{(\d+)\}\s*\{(\d+)\}", _mixed, text)
    try:
        return latex2sympy(
            mixed.replace(r"\%", ""),
            is_real=True,
            normalization_config=None,
            conversion_config=ConversionConfig(interpret_as_mixed_fractions=False, lowercase_symbols=not case),
        )
    except MemoryError:
        raise
    except Exception:  # whatever a grammar may raise
        return None


def _mixed(match: re.Match[str]) -> str:
    r"""``2\frac{1}{3}`` is 2 + 1/3; ``2\frac{4}{3}`` is a product."""
    whole, numerator, denominator = match[1], match[2], match[3]
    if int(numerator) >= int(denominator):
        return match[0]
    return rf"({whole}+\frac{{{numerator}}}{{{denominator}}})"


def _both_cases(text: str) -> bool:
    """Whether a text has a variable in both cases, so that R and r are two."""
    letters = set(re.findall(r"(?<![a-zA-Z\\])[a-zA-Z](?![a-zA-Z])", re.sub(r"\\[a-zA-Z]+|_\{[^{}]*\}", " ", text)))
    return any(letter.swapcase() in letters for letter in letters - {"e", "E"})


def _same_expression(a: Any, b: Any) -> bool:
    loose = bool(a.atoms(sympy.Float) or b.atoms(sympy.Float))
    a, b = _exact(a), _exact(b)
    if a.has(sympy.nan, sympy.zoo) or b.has(sympy.nan, sympy.zoo):
        return False
    if a == b:
        return True
    symbols = sorted(a.free_symbols | b.free_symbols, key=str)
    if not symbols:
        return _same_number(a, b, loose)
    verdict = _same_at_points(a, b, symbols, loose)
    return bool(verify(a, b, timeout_seconds=None)) if verdict is None else verdict


def _exact(expression: Any) -> Any:
    """Decimals as fractions, i as the imaginary unit, functions without a definition and derivatives as variables."""
    floats = {value: sympy.Rational(str(value)) for value in expression.atoms(sympy.Float)}
    expression = expression.xreplace(floats) if floats else expression
    expression = expression.xreplace({symbol: sympy.I for symbol in expression.free_symbols if symbol.name == "i"})
    unknown = expression.atoms(AppliedUndef, sympy.Derivative)
    return expression.xreplace({item: sympy.Symbol(str(item), real=True) for item in unknown})


def _same_number(a: Any, b: Any, loose: bool) -> bool:
    x, y = _evaluated(a, {}), _evaluated(b, {})
    if x is None or y is None:
        return False
    if not (x.is_finite and y.is_finite):
        return bool(x == y)
    difference = abs(x - y)
    if loose and difference <= min(TOLERANCE, 10 * TOLERANCE * abs(x)) * (1 + 1e-9):
        return True
    if difference > _EXACT * abs(x):
        return False
    # integers of more digits than were looked at
    return abs(x) < 10**25 or abs(x) > sympy.Float(10) ** 3000 or not (a - b).doit().is_nonzero


def _same_at_points(a: Any, b: Any, symbols: Sequence[Any], loose: bool) -> bool | None:
    """None if the expressions cannot be evaluated at enough points."""
    seen = 0
    for values in _points(symbols, _needs_integers(a) or _needs_integers(b)):
        x, y = _evaluated(a, values), _evaluated(b, values)
        if x is None or y is None or not (x.is_finite and y.is_finite):
            continue
        positive = all(value > 0 for value in values.values())
        if not positive and not (x.is_real and y.is_real):
            continue
        if abs(x - y) > (10 * TOLERANCE if loose else _EXACT * 10**10) * max(abs(x), abs(y)):
            return False
        seen += positive
    return True if seen >= 2 else None


def _points(symbols: Sequence[Any], integers: bool) -> Iterator[dict[Any, Any]]:
    for number, (first, step) in enumerate(_POINTS):
        if integers:
            yield {symbol: sympy.Integer(number + 2 + 3 * index) for index, symbol in enumerate(symbols)}
        else:
            yield {symbol: first + step * index / 7 for index, symbol in enumerate(symbols)}


def _needs_integers(expression: Any) -> bool:
    """Whether it is meant for integers, such as (-1)^n."""
    return any(power.base.is_negative and power.exp.free_symbols for power in expression.atoms(sympy.Pow))


def _evaluated(expression: Any, values: dict[Any, Any]) -> Any:
    try:
        if values and not expression.free_symbols <= set(values):
            return None
        lazy = bool(values) or expression.has(sympy.UnevaluatedExpr)
        result = expression.xreplace(values).doit() if lazy else expression
        result = sympy.N(result, _DIGITS)
        known = all(part.is_Number and part is not sympy.nan for part in result.as_real_imag())
    except MemoryError:
        raise
    except Exception:  # whatever sympy may raise
        return None
    return result if known else None


def _same_equation(a: Any, b: Any) -> bool:
    """Whether one equation is the other times a number: ``2x - y = 3`` and ``y = 2x - 3``."""
    sides = (a.lhs, a.rhs, b.lhs, b.rhs)
    if not all(isinstance(side, sympy.Expr) and not isinstance(side, sympy.MatrixExpr) for side in sides):
        return False  # of sets or matrices
    left, right = _exact(a.lhs - a.rhs), _exact(b.lhs - b.rhs)
    symbols = sorted(left.free_symbols | right.free_symbols, key=str)
    if left.free_symbols != right.free_symbols or not symbols:
        return False
    ratios = []
    for values in _points(symbols, integers=False):
        x, y = _evaluated(left, values), _evaluated(right, values)
        if x is None or y is None or not (x.is_finite and y.is_finite) or x == 0 or y == 0:
            continue
        ratios.append(x / y)
    return len(ratios) >= 3 and all(abs(ratio - ratios[0]) <= _EXACT * 10**10 * abs(ratios[0]) for ratio in ratios)
