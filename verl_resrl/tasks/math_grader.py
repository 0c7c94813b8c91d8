# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Does a response to a mathematics problem give the right answer? By math-verify, without any limit of time or memory.

``math_reward`` runs this in processes that it can kill.
"""

import contextlib
import logging
import re
import resource
from typing import NamedTuple

from latex2sympy2_extended import NormalizationConfig, normalize_latex
from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

TAIL_CHARS = 20_000  # the answer is at the end; what comes before is not looked at
PRED_CHARS = 200
UNBOXED_CHARS = 1_000  # in which "Answer: ..." counts
MAX_ANSWER_CHARS, MAX_NESTING = 1_000, 50  # beyond them an answer is wrong, without a look
# an answer counts where the response says that it is the answer, not any number that happens to come last
_MARKED = (
    LatexExtractionConfig(boxed_match_priority=0, try_extract_without_anchor=False),
    ExprExtractionConfig(try_extract_without_anchor=False),
)
_ANY = (LatexExtractionConfig(), ExprExtractionConfig())
_SCIENTIFIC = re.compile(r"(\d)[eE]([+-]?\d+)")  # 4.5e33, which LaTeX reads as 4.5 * e * 33
_TEXT = NormalizationConfig(
    basic_latex=True, units=True, malformed_operators=True, nits=True, boxed="none", equations=False
)
_IGNORED = re.compile(r"\\left|\\right|\\[!,;: ]|\$|\s|\.$")


class Grade(NamedTuple):
    """What a response gave.

    Attributes:
        right: whether it is the answer.
        pred: the answer as it is written, at most ``PRED_CHARS`` characters; empty if there is none.
    """

    right: bool
    pred: str


def limit_memory(extra_bytes: int) -> None:
    """Bound what this process may allocate from now on; where the system does not say what it has, nothing is bound.

    Args:
        extra_bytes: beyond what it has already.
    """
    logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns about each switched off time limit
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            used = next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmData"))
    except (OSError, StopIteration):  # not Linux
        return
    resource.setrlimit(resource.RLIMIT_DATA, (used + extra_bytes, used + extra_bytes))


def grade(response: str, ground_truth: str) -> Grade:
    r"""Compare a response's answer with the right one.

    The answer is what the last ``\boxed{}`` holds, else what follows words such as "Answer:" or "the final answer is".
    Answers are equal if math-verify finds them equal, or if they are the same text but for spacing and units.

    Args:
        response: the model's text, or its end; nothing in it can raise.
        ground_truth: LaTeX or plain text of the right answer.
    """
    boxed = last_boxed(response[-TAIL_CHARS:])
    answer = response[-UNBOXED_CHARS:] if boxed is None else boxed
    if not answer.strip() or _is_absurd(answer):
        return Grade(False, "" if boxed is None else _printable(boxed.strip()))
    parsed = _parse(answer, _MARKED) if boxed is None else _parsed(answer)
    pred = boxed if boxed is not None else next((item for item in parsed if isinstance(item, str)), "")
    if not pred.strip():
        return Grade(False, "")
    return Grade(_same_text(pred, ground_truth) or _same_value(parsed, ground_truth), _printable(pred))


def last_boxed(text: str) -> str | None:
    r"""What the last ``\boxed{}`` of a text holds; with a brace that is never closed, the rest of its line.

    Args:
        text: any text.

    Returns:
        The content with balanced braces, or None if there is no such command.
    """
    start = text.rfind("\\boxed")
    if start < 0:
        return None
    rest = text[start + len("\\boxed") :].lstrip()
    if not rest.startswith("{"):
        return rest.split(maxsplit=1)[0].strip("$.,") if rest.strip() else ""
    depth = 0
    for position, character in enumerate(rest):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return rest[1:position]
    line = rest[1:].split("\n", 1)[0].strip().rstrip("$.").rstrip()
    return balanced(line)


def balanced(text: str) -> str:
    """Close open braces at the end and drop those that close nothing.

    Args:
        text: any text.
    """
    kept, depth = [], 0
    for character in text:
        if character == "}" and depth == 0:
            continue
        depth += (character == "{") - (character == "}")
        kept.append(character)
    return "".join(kept) + "}" * depth


def _is_absurd(text: str) -> bool:
    depth = deepest = 0
    for character in text:
        depth += (character in "{([") - (character in "])}")
        deepest = max(deepest, abs(depth))
    return len(text) > MAX_ANSWER_CHARS or deepest > MAX_NESTING


def _parsed(answer: str) -> list:
    r"""Parse an answer that stands alone; in a box some notations are only text to math-verify, such as ``10\%``."""
    answer = _SCIENTIFIC.sub(r"\1\\times 10^{\2}", answer)
    boxed = _parse("\\boxed{" + answer + "}", _MARKED)
    forms = (boxed, _parse(f"${answer}$", _ANY)) if all(isinstance(item, str) for item in boxed) else (boxed,)
    return next((parsed for parsed in forms if any(not isinstance(item, str) for item in parsed)), boxed)


def _parse(text: str, targets: tuple) -> list:
    try:
        return parse(text, targets, parsing_timeout=None)
    except Exception:
        return []


def _same_value(parsed: list, ground_truth: str) -> bool:
    try:
        gold = _parsed(balanced(ground_truth.strip().strip("$")))
        return bool(gold and parsed) and bool(verify(gold, parsed, timeout_seconds=None))
    except Exception:
        return False


def _same_text(pred: str, ground_truth: str) -> bool:
    return _plain(pred) == _plain(ground_truth) != ""


def _plain(text: str) -> str:
    with contextlib.suppress(Exception):  # what cannot be normalized is compared as it is
        text = normalize_latex(text, _TEXT)
    return _IGNORED.sub("", text.strip())


def _printable(text: str) -> str:
    """Short, and without the lone surrogates that no file or log can hold."""
    return text[:PRED_CHARS].encode("utf-8", "replace").decode("utf-8")
