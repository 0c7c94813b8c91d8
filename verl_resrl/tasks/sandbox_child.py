# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""What ``sandbox`` starts inside the sandbox: limits itself, then runs a program. Imports the standard library only.

``python -I sandbox_child.py LIMITS UID MODE PROGRAM``, where LIMITS is the JSON of ``sandbox.Limits`` (null for
``processes`` bounds none), UID the user to become (0: stay who we are), and MODE one of
    program   the program reads stdin and writes stdout
    function  stdin is JSON {"name", "arguments"}; the function's result goes to stdout as JSON
    assert    stdin is a secret; it goes to stdout if the program, with its assertions, came to its end
"""

import io
import json
import os
import resource
import sys
from types import CodeType
from typing import Any

# What solutions take for granted where LiveCodeBench judges them: names of these modules, and deep recursion. The
# modules come last, as datetime is also a class.
MODULES = (
    *("string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random", "statistics"),
    *("itertools", "functools", "operator", "io", "sys", "json", "builtins", "typing"),
)
PRELUDE = "\n".join(
    [*(f"from {name} import *" for name in MODULES), f"import {', '.join(MODULES)}", "sys.setrecursionlimit(50000)"]
)


def limit(limits: dict[str, Any]) -> None:
    """Bound this process and all that it starts; a hard limit cannot be raised again."""
    for kind, value in (
        (resource.RLIMIT_CPU, int(limits["cpu_seconds"]) + 1),
        (resource.RLIMIT_AS, limits["memory_bytes"]),
        (resource.RLIMIT_FSIZE, limits["file_bytes"]),
        *([(resource.RLIMIT_NPROC, limits["processes"])] if limits["processes"] is not None else []),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))


def prepared(name: str) -> dict[str, Any]:
    """What a solution finds in its module."""
    scope: dict[str, Any] = {}
    exec(PRELUDE, scope)
    return scope | {"__name__": name}


def call(code: CodeType, request: dict[str, Any]) -> Any:
    """Run a solution and call its function, which may be a method of a class Solution."""
    scope = prepared("solution")
    exec(code, scope)
    name = request["name"]
    function = getattr(scope["Solution"](), name) if "Solution" in scope else scope[name]
    return function(*request["arguments"])


def main() -> None:
    """Run the command line above."""
    limits, uid, mode, path = json.loads(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
    if uid:  # nothing limits the number of root's processes
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    with open(path, encoding="utf-8") as file:
        source = file.read()
    limit(limits)
    execute(source, mode)


def execute(source: str, mode: str) -> None:
    """Run a program in one of the modes."""
    code = compile(source, "solution.py", "exec")
    sys.argv = ["solution.py"]
    if mode == "program":
        exec(code, prepared("__main__"))
        return
    given, result = sys.stdin.read(), os.fdopen(os.dup(1), "w", encoding="utf-8")
    sys.stdin, sys.stdout = io.StringIO(), open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if mode == "function":
        result.write(json.dumps(call(code, json.loads(given))))
    else:
        exec(code, {"__name__": "__main__"})
        result.write(given)
    result.flush()


main()
