# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Answers that try to break a judge, for the tests and for scripts/fuzz_rewards.py."""

import random
from collections.abc import Callable, Iterator

GOLD = "7919"
TOKENS = (
    *(
        r"\frac{",
        r"\sqrt[",
        r"\left(",
        r"\right)",
        r"\begin{pmatrix}",
        r"\end{cases}",
        r"\boxed{",
        r"\text{",
        r"\boxed{}",
    ),
    *(r"\\", r"\int_", r"\sum^", r"\lim", r"\infty", r"\pi", r"\cdot", r"\div", r"\%", r"\in", r"\cup", r"\{", r"\}"),
    *(r"\le", r"\neq", r"\mod", r"\!", "&", "^", "_", "{", "}", "[", "]", "(", ")", "$", "$$", ",", ";", "'", '"', "|"),
    *("=", ":=", "!", "%", "e", "i", "x", "y", "0", "1", "-2", "3.5", "1e9", " ", "\n"),
)
TOWERS = (
    "9^{9^{9}}",
    "9^{9^{9^{9}}}",
    "10^{10^{10}}",
    "(10^{9})!",
    "1000000!!",
    "\\sum_{n=1}^{100000000} n^{n}",
    "\\prod_{n=1}^{10000000} (n!)",
    "\\binom{10^{9}}{5 \\cdot 10^{8}}",
    "\\int_0^1 x^{x^{x^{x}}} dx",
    "\\sqrt[99999999]{2^{99999999}+1}",
    "1.000000001^{99999999999}",
    "\\frac{1}{3^{99999999}}",
    "2^{2^{40}} - 2^{2^{40}}",
    "\\lim_{x \\to 0} \\frac{\\sin^{500}(x)}{x^{500}}",
)
INJECTIONS = (
    '__import__("pathlib").Path("CANARY").touch()',
    "exec(\"open('CANARY', 'w')\")",
    "\\input{/etc/passwd}",
    "\\write18{touch CANARY}",
    'Symbol("x").func.__globals__["__builtins__"]["open"]("CANARY", "w")',
    "{{7*7}}${7*7}%s%n",
)


def answers(seed: int, canary: str) -> Iterator[tuple[str, str]]:
    """Answers without end; none is right where the right one is ``GOLD``.

    Args:
        seed: same seed, same answers.
        canary: path that must not exist afterwards.

    Yields:
        Kind of the answer, answer.
    """
    rng = random.Random(seed)
    kinds: list[tuple[str, Callable[[random.Random], str], int]] = [
        ("nesting", _nesting, 15),
        ("tokens", _tokens, 40),
        ("unicode", _unicode, 20),
        ("digits", _digits, 8),
        ("tower", lambda r: _said(r, r.choice(TOWERS)), 2),
        ("big", _big, 2),
        ("injection", lambda r: _said(r, r.choice(INJECTIONS).replace("CANARY", canary)), 6),
        ("collection", _collection, 7),
    ]
    while True:
        kind, make, _ = rng.choices(kinds, weights=[weight for _, _, weight in kinds])[0]
        yield kind, make(rng)


def _said(rng: random.Random, answer: str) -> str:
    form = rng.choice(("\\boxed{%s}", "The final answer is $%s$.", "Answer: %s", "\\boxed{%s", "$$\\boxed{%s}$$ done"))
    return form.replace("%s", answer)


def _nesting(rng: random.Random) -> str:
    left, right = rng.choice(
        (("{", "}"), ("(", ")"), ("\\frac{1}{", "}"), ("\\sqrt{", "}"), ("\\left(", "\\right)"), ("-", ""))
    )
    depth = int(10 ** rng.uniform(0.5, 5))
    return _said(rng, left * depth + "1" + right * rng.choice((depth, depth - 1, 0)))


def _tokens(rng: random.Random) -> str:
    return _said(rng, "".join(rng.choices(TOKENS, k=rng.randint(1, 200))))


def _unicode(rng: random.Random) -> str:
    planes = (
        (0, 0x20),
        (0x300, 0x370),
        (0x600, 0x6FF),
        (0x2000, 0x2FFF),
        (0xD800, 0xDFFF),
        (0x1D400, 0x1D7FF),
        (0, 0x10FFFF),
    )
    low, high = rng.choice(planes)
    return _said(rng, "".join(chr(rng.randint(low, high)) for _ in range(rng.randint(1, 500))))


def _digits(rng: random.Random) -> str:
    return _said(rng, rng.choice("+-") + "".join(rng.choices("0123456789.,e", k=int(10 ** rng.uniform(1, 4.5)))))


def _big(rng: random.Random) -> str:
    piece = rng.choice(("\\boxed{", "x", "}", "\\frac{1}{2}+", "$", "Answer: ", "1,", "\n"))
    return piece * (10_000_000 // len(piece))


def _collection(rng: random.Random) -> str:
    left, right = rng.choice((("\\{", "\\}"), ("(", ")"), ("[", ")"), ("\\begin{pmatrix}", "\\end{pmatrix}")))
    separator = rng.choice((",", "&", "\\\\", " \\cup "))
    return _said(rng, left + separator.join(str(rng.randint(0, 99)) for _ in range(rng.randint(2, 400))) + right)


# Programs that attack. CANARY and SECRET are paths, PORT is one where somebody listens, PARENT a process of the user.
# Those that get through print 1, which is what the test wants to see.
ATTACKS = {
    "fork bomb": """
import os
while True:
    try:
        os.fork()
    except OSError:
        pass
""",
    "threads": """
import threading, time
while True:
    threading.Thread(target=time.sleep, args=(99,)).start()
""",
    "file outside": "open('CANARY', 'w').write('x'); print(1)",
    "file in home": "import pathlib; pathlib.Path.home().joinpath('verl_resrl_canary').write_text('x'); print(1)",
    "read secrets": "print(open('SECRET').read())",
    "environment": "import os; assert 'VERL_RESRL_TOKEN' in os.environ; print(1)",
    "environment of others": """
import glob
assert any(b'VERL_RESRL_TOKEN' in open(name, 'rb').read() for name in glob.glob('/proc/*/environ'))
print(1)
""",
    "memory of the parent": "open('/proc/PARENT/mem', 'rb').read(1); print(1)",
    "kill the parent": "import os; os.kill(PARENT, 9); print(1)",
    "kill everybody": "import os; os.kill(-1, 9)",
    "network": "import socket; socket.create_connection(('127.0.0.1', PORT), 2).send(b'out'); print(1)",
    "output": """
import sys
while True:
    sys.stdout.write('x' * 1_000_000)
""",
    "big file": """
file = open('big', 'wb')
while True:
    file.write(bytes(1_000_000))
""",
    "memory": """
kept = []
while True:
    kept.append(bytes(100_000_000))
""",
    "endless": "while True: pass",
    "sleep": "import time; time.sleep(999)",
    "deaf": """
import signal, time
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
while True:
    time.sleep(1)
""",
    "recursion": """
import sys
sys.setrecursionlimit(10**9)
def deeper(): return deeper()
deeper()
""",
    "crash": "import ctypes; ctypes.string_at(0)",
    "big power": "print(9 ** 9 ** 9)",
    "daemon": """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(987654)
    os._exit(0)
os.wait()
""",
    "leave early": "import os; os._exit(0)",
    "null byte": "print(1)\0",
    "not Python": "#include <bits/stdc++.h>",
    "deep source": "(" * 50_000,
    "become root": "import os; os.setuid(0); open('CANARY', 'w'); print(1)",
    "raise limits": "import resource; resource.setrlimit(resource.RLIMIT_CPU, (-1, -1)); print(1)",
}
