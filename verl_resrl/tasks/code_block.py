# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Which block of a response is the program? The last one that is Python, parses and does something of its own.

What often follows the solution must not replace it: its output, a call of it as an example, a command of a shell.
"""

import ast
import re
import sys
import textwrap
import warnings

MAX_PROGRAM_CHARS = 100_000
_FENCE = re.compile(r"^[ \t]*(?:[-*+>]|\d+[.)])?[ \t]*`{3,}[ \t]*([\w+#-]*)[^\n`]*$", re.MULTILINE)
_PYTHON = ("", "python", "python3", "py", "py3")
_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def extract_program(response: str, function: str | None = None) -> str | None:
    """The program of a response; where no block qualifies, the last that is marked as Python or not marked.

    Args:
        response: any text.
        function: that the program must define, alone or as a method; a block that does wins over later ones.

    Returns:
        Its content, or None if there is no such block, or if it has more than ``MAX_PROGRAM_CHARS`` characters.
    """
    blocks = [block for block in _blocks(response[-2 * MAX_PROGRAM_CHARS :]) if block.strip()]
    trees = [_parsed(block) for block in blocks]
    solutions, known = list[tuple[str, set[str]]](), set[str]()
    for block, tree in zip(blocks, trees, strict=True):
        if tree is None:
            continue
        names = _defined(tree)
        if _is_program(tree) and not (_used(tree) - names) & known:
            solutions.append((block, names))
        known |= names
    wanted = [block for block, names in solutions if function in names] or [block for block, _ in solutions] or blocks
    return wanted[-1] if wanted and len(wanted[-1]) <= MAX_PROGRAM_CHARS else None


def _blocks(text: str) -> list[str]:
    """Contents of the closed blocks that are marked as Python or not marked, without the indent of a list."""
    found, start, language = list[str](), -1, ""
    for fence in _FENCE.finditer(text):
        if start < 0 or fence[1]:  # a fence with a language opens a block, also where one was never closed
            start, language = fence.end(), fence[1].lower()
            continue
        if language in _PYTHON:
            found.append(textwrap.dedent(text[start : fence.start()]).strip("\n"))
        start = -1
    return found


def _parsed(block: str) -> ast.Module | None:
    if len(block) > MAX_PROGRAM_CHARS:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes in the response's strings
            return ast.parse(block)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None


def _is_program(tree: ast.Module) -> bool:
    """Whether a block defines or calls something; output such as ``9`` or ``[1, 2]`` parses too."""
    return any(isinstance(node, _Definition | ast.Call) for node in ast.walk(tree))


def _defined(tree: ast.Module) -> set[str]:
    """Functions and classes that a block defines, and methods of its classes."""
    return {node.name for node in ast.walk(tree) if isinstance(node, _Definition)}


def _used(tree: ast.Module) -> set[str]:
    """Names that a block reads without binding them: an example uses what the solution has defined."""
    read, bound = set[str](), set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (read if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            module = (getattr(node, "module", None) or "").split(".")[0]
            example = isinstance(node, ast.ImportFrom) and module not in sys.stdlib_module_names  # of a made-up module
            (read if example else bound).update((alias.asname or alias.name).split(".")[0] for alias in node.names)
    return read - bound
