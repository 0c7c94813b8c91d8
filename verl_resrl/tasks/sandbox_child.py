# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""What ``sandbox`` starts inside the sandbox: limits itself, then runs a program. Imports the standard library only.

``python -I sandbox_child.py LIMITS UID MODE PROGRAM``, where LIMITS is the JSON of ``sandbox.Limits``, UID the user to
become (0: stay who we are), and MODE one of
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

# what solutions in the style of LeetCode take for granted
PRELUDE = """
import bisect, collections, copy, datetime, functools, heapq, itertools, math, operator, random, re, string, sys
from bisect import *
from collections import *
from functools import *
from heapq import *
from itertools import *
from math import *
from typing import *
"""


def limit(limits: dict[str, Any]) -> None:
    """Bound this process and all that it starts; a hard limit cannot be raised again."""
    for kind, value in (
        (resource.RLIMIT_CPU, int(limits["cpu_seconds"]) + 1),
        (resource.RLIMIT_AS, limits["memory_bytes"]),
        (resource.RLIMIT_FSIZE, limits["file_bytes"]),
        (resource.RLIMIT_NPROC, limits["processes"]),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))


def call(code: CodeType, request: dict[str, Any]) -> Any:
    """Run a solution and call its function, which may be a method of a class Solution."""
    scope: dict[str, Any] = {"__name__": "solution"}
    exec(PRELUDE, scope)
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
    code = compile(source, "solution.py", "exec")
    sys.argv = ["solution.py"]
    if mode == "program":
        exec(code, {"__name__": "__main__"})
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
