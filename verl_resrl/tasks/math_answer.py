# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
r"""Where in a response is the answer? The last place that says that it is the answer counts, whatever says so.

What says so: a box (``\boxed{}``, ``\fbox{}``), a line ``Answer: ...``, a sentence ``The answer is ...`` and
``<answer>...</answer>``. Numbers that merely come last are no answers.
"""

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

_BOX = re.compile(r"\\(?:boxed|fbox|framebox)(?![a-zA-Z])\s*")
_TAG = re.compile(r"<answer>(.*?)</answer>", re.IGNORECASE | re.DOTALL)
_MARKUP = r"[*_`#>~ \t]*"
_LABEL = rf"(?<![a-zA-Z])(?:final\s+answer|answers?|ans){_MARKUP}"
# "Answer:", "**Final Answer**" on a line of its own, "the answer is", "the answer to the problem is"
_COLON = re.compile(
    rf"{_LABEL}(?:\}}\s*)?[:\uff1a=](?!=){_MARKUP}(?:\}}{_MARKUP})?(?:\s*(?:it\s+)?is\b:?)?", re.IGNORECASE
)
_HEADING = re.compile(
    rf"^{_MARKUP}(?:the\s+)?(?:final\s+)?answer{_MARKUP}(?:$|(?=\$|\\\[|\\\())", re.IGNORECASE | re.MULTILINE
)
_SENTENCE = re.compile(
    r"\b(?:answers?|correct\s+(?:option|choice))\b(?:\s+(?:to|for|of|choice|option)\b[^.:=\n\\]{0,60}?)?[*_\s]{0,9}"
    r"\s(?:is|are|must\s+be|will\s+be|equals|=)(?:\s+(?:option|choice))?(?![a-zA-Z])[*_]*\s*[:\uff1a]?",
    re.IGNORECASE,
)
# "Answer: The largest n is 34."
_NAMED_SUBJECT = re.compile(r"^(?:The|It|So|Thus|Therefore|Hence)\b[^.=]*?\s(?:is|are|equals)\s+(?=\S)")
# a label inside the mark: \\boxed{\\text{Answer: } 34}, <answer>The answer is 34</answer>
_INNER_LABEL = re.compile(
    r"^\s*\\text\w*\{\s*(?:the\s+)?(?:final\s+)?answer(?:\s+is)?\s*[:=]?\s*\}"
    r"|^\s*(?:the\s+)?(?:final\s+)?answer(?:\s+is\b|\s*[:=])\s*:?",
    re.IGNORECASE,
)
# where the answer of a line ends and talk begins
_TALK = re.compile(
    r"\s*(?:<\||</s>).*$|(?<!\.)[.](?=\s+[A-Z*\n]|\s*$)|,?\s+(?:because|since|as desired|as required)\b.*$", re.DOTALL
)
_DISPLAY = re.compile(r"\s*(?:\$\$(.+?)\$\$|\\\[(.+?)\\\])", re.DOTALL)
# what may stand between the boxes of one list: separators, the dollars around the boxes, "x ="
_BETWEEN = re.compile(
    r"(?:[\s$.,;&*]|\\[\[\]()\\,;!]|\\text\s*\{\s*(?:and|or)\s*\}|\\q?quad|\b(?:and|or)\b|\b[a-zA-Z](?:_\w|_\{\w+\})?\s*=|-\s)*"
)
_WITHDRAWN = re.compile(r"\b(?:wait|wrong|incorrect|mistake|actually|instead|not|no)\b", re.IGNORECASE)
_LONE_LETTER_OR_NUMBER = re.compile(r"[-+]?[\w.]{1,20}(?=[\s$.,]|$)|\\[a-zA-Z]+(?:\{[^{}]*\})*")


LINES, LINE_CHARS = 20, 1_500  # as many lines with a label are looked at, from the end, and as much of each


class Marked(NamedTuple):
    """A place that says that it is the answer.

    Attributes:
        start: where it begins in the response.
        end: where it ends.
        text: what it says.
        boxed: whether it is a box.
        finished: whether it counts before those that are not: a box whose end is there, for a response may be cut off
            inside a box; a sentence that goes on with mathematics or a name, for "the answer is correct" says nothing.
    """

    start: int
    end: int
    text: str
    boxed: bool
    finished: bool = True


class Answer(NamedTuple):
    """What a response answers.

    Attributes:
        text: the answer as it is written.
        lists: the boxes that are an answer together, for a problem that asks for several values: what follows each
            other directly, and all of the response.
    """

    text: str
    lists: tuple[tuple[str, ...], ...] = ()


def find_answer(response: str) -> Answer | None:
    """The answer of a response, or None if it marks none.

    Args:
        response: any text.
    """
    boxes = find_boxes(response)
    around = [*boxes, *_tags(response)]
    lines = [line for line in _lines(response) if not any(mark.start < line.start < mark.end for mark in around)]
    marked = sorted([*around, *lines])
    finished = [mark for mark in marked if mark.finished]
    if not marked:
        return None
    last = finished[-1] if finished else marked[-1]
    inside = [box for box in boxes if last.start <= box.start < last.end and box.finished]
    if last.boxed or inside:
        return _boxed_answer(response, [box for box in boxes if box.finished] or boxes)
    return Answer(_INNER_LABEL.sub("", last.text))


def _boxed_answer(response: str, boxes: list[Marked]) -> Answer:
    run = [boxes[-1]]
    for box in reversed(boxes[:-1]):
        if not _BETWEEN.fullmatch(response, box.end, run[0].start):
            break
        run.insert(0, box)
    everything = boxes
    gaps = (response[a.end : b.start] for a, b in pairwise(boxes))
    if any(_WITHDRAWN.search(gap) for gap in gaps):
        everything = run
    if not run[-1].text.strip():
        return Answer("")
    different = list(dict.fromkeys(box.text.strip() for box in run))
    lists = tuple(dict.fromkeys(tuple(box.text for box in group) for group in (run, everything) if len(group) > 1))
    text = different[0] if len(different) == 1 else ", ".join(box.text for box in run)
    return Answer(_INNER_LABEL.sub("", text), lists)


def find_boxes(text: str) -> list[Marked]:
    r"""All boxes of a text in order, those inside another box left out.

    Args:
        text: any text.
    """
    found: list[Marked] = []
    ends = _closing_braces(text)
    for match in _BOX.finditer(text):
        if found and found[-1].finished and match.start() < found[-1].end:
            continue
        found.append(_box(text, match, ends))
    return found


def _closing_braces(text: str) -> dict[int, int]:
    """Position of each opening brace that is closed -> where; in one pass, for a response may have thousands."""
    ends, opened = dict[int, int](), list[int]()
    for position, character in enumerate(text):
        if character == "{":
            opened.append(position)
        elif character == "}" and opened:
            ends[opened.pop()] = position
    return ends


def _box(text: str, match: re.Match[str], ends: Mapping[int, int]) -> Marked:
    start, position = match.start(), match.end()
    if text[position : position + 1] != "{":  # \boxed 5
        token = _LONE_LETTER_OR_NUMBER.match(text, position)
        mathematics = token is not None and not re.match(r"[a-zA-Z]{2}", token[0])
        content = token[0].strip(".,") if token else ""
        return Marked(start, token.end() if token else position, content, True, finished=mathematics)
    if position in ends:
        return Marked(start, ends[position] + 1, text[position + 1 : ends[position]], True)
    line = text[position + 1 : position + 1 + LINE_CHARS].split("\n", 1)[0].strip().rstrip("$.").rstrip()
    return Marked(start, position + 1 + len(line), balanced(line), True, finished=False)


def _tags(text: str) -> list[Marked]:
    found = [Marked(match.start(), match.end(), match[1].strip(), False) for match in _TAG.finditer(text)]
    return [mark for mark in found if mark.text]


def _lines(text: str) -> list[Marked]:
    found = []
    for pattern in (_COLON, _HEADING, _SENTENCE):
        for match in list(pattern.finditer(text))[-LINES:]:
            content, end = _rest(text, match.end())
            content = _NAMED_SUBJECT.sub("", content.strip())
            asked = pattern is not _SENTENCE and not text[text.rfind("\n", 0, match.start()) + 1 : match.start()].strip(
                " *#>_"
            )
            talk = not asked and re.match(r"[a-z]{2}(?!\w*\()", content)
            if content:
                found.append(Marked(match.start(), end, content, False, finished=not talk))
    return found


def _rest(text: str, start: int) -> tuple[str, int]:
    """What follows a label: the rest of its line, or the next line that is not empty, or a formula of several lines."""
    display = _DISPLAY.match(text, start)
    if display:
        return display[1] or display[2], display.end()
    begin = start + re.compile(r"[\s*_`]*").match(text, start).end() - start  # type: ignore[union-attr]
    display = _DISPLAY.match(text, begin)
    if display:
        return display[1] or display[2], display.end()
    end = text.find("\n", begin)
    end = len(text) if end < 0 else end
    line = text[begin : min(end, begin + LINE_CHARS)]
    talk = _TALK.search(line)
    return (line[: talk.start()] if talk else line), end


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
