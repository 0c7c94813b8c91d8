# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
r"""One notation for what is written in many: Unicode, plain text and variants of LaTeX become the LaTeX of math-verify.

Every rule says what it is for; none changes a value. What a rule does not know stays as it is, and is refused later if
math-verify cannot read it.
"""

import re
import unicodedata
from collections.abc import Callable
from typing import NamedTuple

_SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n", strict=True))
_SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True))
_CHARACTERS = {
    **dict.fromkeys("\u2212\u2013\u2014\ufe63\uff0d", "-"),
    **dict.fromkeys("\u00d7·⋅\u2219✕*\uff0a", r"\cdot "),
    **{chr(0xFF10 + digit): str(digit) for digit in range(10)},  # full width
    **{chr(ord(character) + 0xFEE0): character for character in "/=(),;.:%"},  # full width
    "÷": "/",
    **{"∞": r"\infty ", "π": r"\pi ", "°": r"^\circ ", "≤": r"\le ", "≥": r"\ge ", "≠": r"\neq ", "≈": r"\approx "},
    **{"⩽": r"\le ", "⩾": r"\ge ", "\u222a": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "∅": r"\emptyset ", "±": r"\pm "},
    **{unicodedata.lookup(f"DOUBLE-STRUCK CAPITAL {letter}"): rf"\mathbb{{{letter}}}" for letter in "RZNQC"},
    **{"½": r"\frac{1}{2}", "⅓": r"\frac{1}{3}", "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}", "⅔": r"\frac{2}{3}"},
    **{"\u2032": "'", "…": r"\ldots ", "\u2216": r"\setminus ", "→": r"\to ", "⟨": r"\langle ", "⟩": r"\rangle "},
    **dict.fromkeys("\u00a0\u2009\u202f\u2002\u2003\u200a\t\n\r", " "),
    **dict.fromkeys("\u200b\ufeff\u2060\u200e\u200f`", ""),
}
_GREEK = {
    letter: f"\\{name if letter.islower() else name.title()} "
    for letter in map(chr, [*range(0x3B1, 0x3CA), *map(ord, "ΓΔΘΛΞΠΣΦΨΩ")])
    if (name := unicodedata.name(letter).split()[-1].lower().replace("lamda", "lambda"))
}
_TABLE = str.maketrans(_GREEK | _CHARACTERS)
_FUNCTIONS = "arcsin|arccos|arctan|sinh|cosh|tanh|sin|cos|tan|cot|sec|csc|ln|log|exp|min|max|gcd"
_NAMES = "pi|theta|alpha|beta|gamma|delta|lambda|omega|sigma|phi"


class Rule(NamedTuple):
    """One rewriting.

    Attributes:
        name: what it is for.
        pattern: what it rewrites.
        replacement: by what.
    """

    name: str
    pattern: re.Pattern[str]
    replacement: str | Callable[[re.Match[str]], str]


def _repeating(match: re.Match[str]) -> str:
    r"""``4.1\overline{6}`` as a fraction: (416 - 41) / 90."""
    whole, fixed, period = match[1] or "0", match[2], match[3]
    numerator = int(whole + fixed + period) - int(whole + fixed)
    return rf"\frac{{{numerator}}}{{{'9' * len(period) + '0' * len(fixed)}}}"


def _binomial(match: re.Match[str]) -> str:
    upper, lower = (group for group in match.groups() if group is not None)
    return rf"\binom{{{upper.strip()}}}{{{lower.strip()}}}"


def _subscript(match: re.Match[str]) -> str:
    r"""``_{\max }`` and ``_{\text{red}}`` as letters: math-verify reads letters only."""
    inner = re.sub(r"\\(?:text|math)?(?:rm|bf|it)?\b|[\\{}\s]", "", match[1])
    return f"_{{{inner}}}"


def _rule(name: str, pattern: str, replacement: str | Callable[[re.Match[str]], str]) -> Rule:
    return Rule(name, re.compile(pattern), replacement)


RULES = (
    _rule("dollars", r"\\text\s*\{\s*\\?\$\s*\}|\\\$|\bUSD\b", r"\\text{USD}"),
    _rule("formulas inside the answer", r"\$|(?<!\\)\\[()](?!\[)", " "),
    _rule("a formula of its own", r"(?<!\\)\\\[|\\\](?=\s*$)", " "),
    _rule("space between rows", r"\\\\\s*\[[^\]]*?(?:pt|em|ex|mm|cm)\]", r"\\\\"),
    _rule("rows in plain TeX", r"\\cr(?![a-zA-Z])", r"\\\\"),
    _rule("sized brackets", r"\\(?:left|right|middle|[bB]igg?[lrm]?)(?![a-zA-Z])\s*\.?(?=\s*[\\\[\](){}|.<>]|$)", ""),
    _rule("style", r"\\(?:displaystyle|textstyle|limits|nolimits|large|Large|rm|bf|it|tt)(?![a-zA-Z])", " "),
    _rule("colour", r"\\(?:textcolor|color)\s*\{[^{}]*\}", " "),
    _rule("thousands apart", r"(?<=\d)(?:\\[,;: !]|\{,\}|,\\!|~|\\,\\!)\s*(?=\d{3}(?!\d))", ","),
    _rule("space at the end", r"\\+\s*$", ""),
    _rule("space", r"(?<!\\)\\[,;:! ]|\\(?:q?quad|enspace|thinspace|hspace\s*\{[^{}]*\})(?![a-zA-Z])|~", " "),
    _rule("fractions", r"\\[dtc]frac(?![a-zA-Z])", r"\\frac"),
    _rule("upright e and i", r"\\(?:mathrm|text|textrm|operatorname)\s*\{\s*([ei])\s*\}", r" \1 "),
    _rule("upright d", r"\\mathrm\s*\{\s*d\s*\}", "d"),
    _rule("functions by name", rf"\\(?:operatorname\*?|mathrm|text)\s*\{{\s*({_FUNCTIONS})\s*\}}", r"\\\1 "),
    _rule("text", r"\\(?:mathrm|mathbf|mathit|mathsf|mathtt|textbf|textrm|textit|textsf|texttt|mbox|hbox|bm|boldsymbol"
          r"|operatorname\*?|textnormal|emph|underline|textup)(?![a-zA-Z])\s*", r"\\text"),
    _rule("text without braces", r"\\text\s+\{", r"\\text{"),
    _rule("sets of numbers", r"\\(?:mathbb|Bbb|mathds)\s*\{?\s*([RZNQC])\s*\}?", r"\\mathbb{\1}"),
    _rule("empty set", r"\\varnothing(?![a-zA-Z])|\\\{\s*\\\}", r"\\emptyset "),
    _rule("sets", r"\\lbrace(?![a-zA-Z])", r"\\{"),
    _rule("sets' end", r"\\rbrace(?![a-zA-Z])", r"\\}"),
    _rule("brackets by name", r"\\lbrack(?![a-zA-Z])", "["),
    _rule("brackets' end", r"\\rbrack(?![a-zA-Z])", "]"),
    _rule("angle brackets", r"\\langle(?![a-zA-Z])", "("),
    _rule("angle brackets' end", r"\\rangle(?![a-zA-Z])", ")"),
    _rule("such that", r"\\mid(?![a-zA-Z])", "|"),
    _rule("absolute value", r"\\[lr]?vert(?![a-zA-Z])", "|"),
    _rule("less or equal", r"\\(?:leqslant|leqq|leq|le)(?![a-zA-Z])|<=|=<", r"\\le "),
    _rule("greater or equal", r"\\(?:geqslant|geqq|geq|ge)(?![a-zA-Z])|>=", r"\\ge "),
    _rule("not equal", r"\\(?:neq|ne|not\s*=)(?![a-zA-Z])|\\not\s*=|!=|<>", r"\\neq "),
    _rule("less", r"\\lt(?![a-zA-Z])", "<"),
    _rule("greater", r"\\gt(?![a-zA-Z])", ">"),
    _rule("approximately", r"\\(?:approx|simeq|thickapprox|doteq)(?![a-zA-Z])", r"\\approx "),
    _rule("dots", r"\\(?:dots|cdots|dotsc|dotsb|ldots)(?![a-zA-Z])|\.\.\.", r"\\ldots "),
    _rule("times", r"\\(?:times|ast|cdot)(?![a-zA-Z])", r"\\cdot "),
    _rule("divided", r"\\div(?![a-zA-Z])", "/"),
    _rule("colon", r"\\colon(?![a-zA-Z])", ":"),
    _rule("degrees", r"\^\s*\{?\s*\\circ\s*\}?|\\degree(?![a-zA-Z])|\\text\{\s*degrees?\s*\}", r"^\\circ "),
    _rule("percent", r"\\text\{\s*(?:percent|percentage|per cent|pct|\\?%)\s*\}", r"\\%"),
    _rule("percent in plain text", r"\b(?:percent|percentage|pct)\b|(?<!\\)%", r"\\%"),
    _rule("infinity", r"\\infin(?![a-zA-Z])|(?<![a-zA-Z\\])(?:infinity|infty|inf)(?![a-zA-Z])", r"\\infty "),
    _rule("a program's functions", r"(?<![a-zA-Z])(?:np|math|numpy|sympy)\s*\.\s*", ""),
    _rule("root in plain text", r"(?<![a-zA-Z\\])sqrt(?![a-zA-Z])", r"\\sqrt"),
    _rule("functions in plain text", rf"(?<![a-zA-Z\\])({_FUNCTIONS})(?=\s*[({{\d]|\s+[a-z]\b)", r"\\\1 "),
    _rule("letters in plain text", rf"(?<![a-zA-Z\\])({_NAMES})(?![a-zA-Z])", r"\\\1 "),
    _rule("powers of a program", r"\^\s*\((-?[\w./]+)\)", r"^{\1}"),
    _rule("exponential", r"\\exp\s*\{", "e^{"),
    _rule("a logarithm's base", r"\\log\s*_\s*(\w)", r"\\log_{\1}"),
    # base 10 in schools, e elsewhere: of a base that is not known
    _rule("a logarithm without base", r"\\log(?![a-zA-Z])(?!\s*[_^])|\\lg(?![a-zA-Z])", r"\\log_{\\varkappa}"),
    _rule("energy", r"(?<![a-zA-Z\\])E(?=_)", r"\\text{E}"),
    _rule("a label of one command", r"_\s*\\([a-zA-Z]+)", r"_{\1}"),
    _rule("labels of symbols", r"_\s*\{([^{}]*(?:\\[a-zA-Z]+|\{[^{}]*\})[^{}]*)\}", _subscript),
    _rule("primes", r"(?<=[a-zA-Z)\]}])''", r"^{\\prime\\prime}"),
    _rule("prime", r"(?<=[a-zA-Z)\]}])'", r"^{\\prime}"),
    _rule("repeating decimals", r"(\d*)\.(\d*)\\overline\s*\{(\d+)\}", _repeating),
    _rule("powers of ten", r"(?<![a-zA-Z\d_^])(\d*\.?\d+\.?)[eE]([+-]?\d+)(?![\d.])", r"\1\\cdot 10^{\2}"),
    _rule("a point without digits behind", r"(?<=\d)\.(?![\d\\])", ""),
    _rule("a point without digits before", r"(?<![\d])\.(?=\d)", "0."),
    _rule("a fraction without braces", r"\\frac\s*(\d|(?<=\s)[a-zA-Z])\s*([\da-zA-Z])", r"\\frac{\1}{\2}"),
    _rule("a fraction's numerator", r"\\frac\s*(\d|(?<=\s)[a-zA-Z])\s*\{", r"\\frac{\1}{"),
    _rule("a fraction's denominator", r"(\\frac\s*\{[^{}]*\})\s*([\da-zA-Z])", r"\1{\2}"),
    _rule("a binomial coefficient", r"\{([^{}]*?)\\choose([^{}]*?)\}|^([^{}]*?)\\choose([^{}]*)$", _binomial),
    _rule("binomial coefficients", r"\\[dt]binom(?![a-zA-Z])", r"\\binom"),
    _rule("a root's digit", r"\\sqrt\s*(\d+|[a-zA-Z])(?![a-zA-Z])", r"\\sqrt{\1}"),
    _rule("mixed numbers in plain text", r"(?<![\d./^_{,])(\d+)\s+(\d+)\s*/\s*(\d+)(?![\d.])", r"\1\\frac{\2}{\3}"),
)  # fmt: skip
_ROOT_ARGUMENT = re.compile(r"\\sqrt\s*(\[[^\]]*\])?\s*\(")
_UNICODE_ROOT = re.compile(r"√\s*(\d+(?:\.\d+)?|[a-zA-Z])?")


def normalized(text: str) -> str:
    """An answer in the notation that math-verify reads best.

    Args:
        text: an answer, LaTeX or plain text, without what marks it.
    """
    text = text.replace("**", "^") if re.search(r"[\w)}]\s*\*\*\s*[\w({-]", text.strip("*")) else text
    text = re.sub(r"^__(.*)__$", r"\1", text.strip().strip('*"\u201c\u201d').strip())
    text = re.sub(f"[{''.join(_SUPERSCRIPTS)}]+", lambda m: "^{" + "".join(map(_SUPERSCRIPTS.get, m[0])) + "}", text)  # type: ignore[arg-type]
    text = re.sub(f"[{''.join(_SUBSCRIPTS)}]+", lambda m: "_{" + "".join(map(_SUBSCRIPTS.get, m[0])) + "}", text)  # type: ignore[arg-type]
    text = _UNICODE_ROOT.sub(lambda m: r"\sqrt" + (f"{{{m[1]}}}" if m[1] else ""), text)
    text = text.translate(_TABLE)
    for rule in RULES:
        text = rule.pattern.sub(rule.replacement, text)
    return re.sub(r"\s+", " ", _root_arguments(text)).strip()


def _root_arguments(text: str) -> str:
    r"""``\sqrt(3)`` means the root of 3."""
    while match := _ROOT_ARGUMENT.search(text):
        end = closing(text, match.end() - 1)
        if end is None:
            return text
        text = rf"{text[: match.start()]}\sqrt{match[1] or ''}{{{text[match.end() : end]}}}{text[end + 1 :]}"
    return text


def closing(text: str, start: int) -> int | None:
    """Where the bracket at a position is closed, by a bracket of any kind; None if nowhere.

    Args:
        text: any text.
        start: position of an opening bracket.
    """
    depth = 0
    for position in range(start, len(text)):
        depth += (text[position] in "([{") - (text[position] in ")]}")
        if depth == 0:
            return position
    return None
