# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The code reward: right and wrong programs, and programs that attack the machine they run on."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.tasks.hostile import ATTACKS
from verl_resrl.tasks.code_block import extract_program
from verl_resrl.tasks.code_reward import Tests, _same_json, compute_score, same_output
from verl_resrl.tasks.sandbox import Limits, Outcome, SandboxError, check, run

SQUARE = Tests(inputs=("3\n", "-4\n"), outputs=("9\n", "16\n")).to_json()
ADD = Tests(inputs=("[1, 2]\n3", "[]\n1"), outputs=("6", "1"), fn_name="add").to_json()
CHECK = Tests(
    assert_case=("def check(f):\n    assert f(3) == 9\n\ncheck(square)",), prefix="def times(a, b):\n    return a * b\n"
).to_json()
LIMITS = Limits(cpu_seconds=1, wall_seconds=2, memory_bytes=1 << 30, file_bytes=1 << 20)


def works(isolation: str) -> bool:
    try:
        check(isolation)
    except SandboxError as error:
        print(error)
        return False
    return True


needs_bwrap = pytest.mark.skipif(not works("bwrap"), reason="bubblewrap is missing or the kernel forbids it")


def block(program: str) -> str:
    return f"Here it is:\n```python\n{program}\n```\nDone."


PROGRAMS = [
    ("print(int(input()) ** 2)", SQUARE, "right"),
    ("print(float(input()) ** 2)", SQUARE, "right"),  # 9.0 is 9
    ("print(9)", SQUARE, "wrong_answer"),
    ("print(1 / 0)", SQUARE, "error"),
    ("class Solution:\n    def add(self, a: List[int], b: int) -> int:\n        return sum(a) + b", ADD, "right"),
    ("def add(a, b):\n    print('noise')\n    return sum(a) + b", ADD, "right"),
    ("def add(a, b):\n    return {1}", ADD, "error"),
    ("def plus(a, b):\n    return sum(a) + b", ADD, "error"),
    ("def square(x):\n    return times(x, x)", CHECK, "right"),
    ("def square(x):\n    return x", CHECK, "error"),
    ("from __future__ import annotations\ndef square(x: Number):\n    return times(x, x)", CHECK, "right"),
    ("print(int(pow(int(input()), 2)) if deepcopy([ascii_lowercase]) else gcd(1, 2))", SQUARE, "right"),
    ("def f(n):\n    return n and 1 + f(n - 1)\nf(9000)\nprint(int(input()) ** 2)", SQUARE, "right"),
    ("def add(a, b):\n    return datetime.datetime(1, 1, 1).year * (sum(a) + b)", ADD, "right"),
    ("import os\nos._exit(0)", CHECK, "wrong_answer"),
    ("import sys\nsys.exit(0)", CHECK, "wrong_answer"),
]


@needs_bwrap
@pytest.mark.parametrize(("program", "truth", "status"), PROGRAMS)
def test_programs(program: str, truth: str, status: str) -> None:
    result = compute_score("x", block(program), truth)
    assert result == {
        "score": float(status == "right"),
        "acc": float(status == "right"),
        "pred": program,
        "status": status,
    }


@pytest.mark.parametrize(
    ("response", "program"),
    [
        ("no code", None),
        ("```python\n```", None),
        ("```python\nprint(1)", None),
        ("```\nprint(1)\n```", "print(1)"),
        ("```python\nprint(1)\n```\n```py\nprint(2)\n```\n```text\noutput\n```", "print(2)"),
        ("```python\nprint(1\n```", "print(1"),  # does not parse, and is all that there is
        ("```" * 1000, None),
        (block("x" * 200_000), None),
        ("filler " * 1_500_000 + "\n" + block("print(2)"), "print(2)"),
    ],
)
def test_extracted_program(response: str, program: str | None) -> None:
    assert extract_program(response) == program


SOLUTION = "def add(a, b):\n    return sum(a) + b"
TRAILERS = {
    "output": "```\n6\n```",
    "output of words": "```\nYES\n```",
    "output of a list": "```python\n[1, 2, 3]\n```",
    "output of lines": "```\n1 2\n3\n```",
    "named output": "```output\nadd(1)\n```",
    "example call": "```python\nprint(add([1, 2], 3))\n```",
    "example call with names": "```python\nresult = add([1, 2], 3)\nprint(result)\n```",
    "assertions": "```python\nassert add([], 1) == 1\n```",
    "example of an import": "```python\nfrom solution import add\n\nprint(add([1], 2))\n```",
    "test function": "```python\ndef test_add():\n    assert add([], 1) == 1\n```",
    "session": "```\n>>> add([1, 2], 3)\n6\n```",
    "console": "```pycon\nadd([1, 2], 3)\n```",
    "shell": "```bash\npython solution.py\n```",
    "shell without a mark": "```\npython solution.py < input.txt\n```",
    "one word of a shell": "```\nls\n```",
    "another language": "```c++\nint main() { return 0; }\n```",
    "JSON": '```json\n{"a": 1}\n```',
    "JSON without a mark": '```\n{"a": [1]}\n```',
    "empty": "```python\n\n```",
    "broken Python": "```python\ndef broken(:\n```",
    "text": "```\nThis is O(n) in time.\n```",
    "a block that is not closed": "```python\nprint(",
}


@pytest.mark.parametrize("trailer", TRAILERS)
def test_what_follows_the_solution_does_not_replace_it(trailer: str) -> None:
    assert extract_program(f"{block(SOLUTION)}\n\n{TRAILERS[trailer]}\n") == SOLUTION


@pytest.mark.parametrize("indent", ["  ", "   ", "\t", "        "])
def test_block_inside_a_list_is_dedented(indent: str) -> None:
    lines = ["```python", *SOLUTION.split("\n"), "", "print(1)", "```"]
    inside = "\n".join(indent + line if line else line for line in lines)
    assert extract_program(f"1. Like this:\n{inside}\n2. Done.") == f"{SOLUTION}\n\nprint(1)"
    item = inside.replace(indent, "- ", 1)
    assert extract_program(f"{item}\n- Done.") == f"{SOLUTION}\n\nprint(1)"


def test_later_solution_wins_and_the_wanted_function_wins_over_it() -> None:
    later = "def plus(a, b):\n    return a + b"
    both = block(SOLUTION) + block(later)
    assert extract_program(both) == later
    assert extract_program(both, "add") == SOLUTION
    assert extract_program(both, "other") == later
    corrected = SOLUTION.replace("+ b", "+ 2 * b")
    assert extract_program(block(SOLUTION) + "\nBetter:\n" + block(corrected), "add") == corrected


@pytest.mark.parametrize("use", ["gcd = 1", "from math import gcd", "import gcd", "f = lambda gcd: gcd"])
def test_name_of_an_earlier_function_may_be_bound_again(use: str) -> None:
    later = f"{use}\nprint(gcd)" if "lambda" not in use else f"{use}\nprint(f(1))"
    assert extract_program(block("def gcd(a, b):\n    return a") + block(later)) == later


@needs_bwrap
def test_example_behind_a_solution_is_not_judged_in_its_place() -> None:
    response = block(SOLUTION) + "\nFor example:\n" + TRAILERS["example call"]
    assert compute_score("x", response, ADD)["pred"] == SOLUTION


@pytest.mark.parametrize(
    ("written", "expected", "same"),
    [
        ("1 2 \n3\n\n", "1 2\n3", True),
        ("1.0 2", "1 2.00", True),
        ("1e400", "1e401", False),
        ("yes", "YES", False),
        ("1 2", "1\n2", False),
        ("nan", "1", False),
        ("sNaN 2", "1 2", False),
        ("", "0", False),
        ("0.30000000000000004", "0.3", False),
    ],
)
def test_outputs_compare_as_in_live_code_bench(written: str, expected: str, same: bool) -> None:
    assert same_output(written, expected) is same


@pytest.mark.parametrize(
    ("written", "same"), [("3", True), ("[3]", False), ("", False), ("1" * 5000, False), ("[" * 100_000, False)]
)
def test_results_that_python_cannot_read_are_wrong(written: str, same: bool) -> None:
    assert _same_json(written, "3") is same


@pytest.mark.parametrize(
    ("truth", "named"),
    [
        ("nonsense", "not JSON"),
        ("[]", "not JSON with tests"),
        ("{}", "0 inputs and 0 outputs"),
        ('{"inputs": ["1"], "outputs": []}', "1 inputs and 0 outputs"),
        ('{"inputs": [1], "outputs": [2]}', "must be texts"),
    ],
)
def test_malformed_ground_truth_is_named(truth: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        compute_score("x", block("print(1)"), truth)


def test_unknown_isolation_is_named() -> None:
    with pytest.raises(ValueError, match="'docker' is none of bwrap, limits"):
        compute_score("x", block("print(1)"), SQUARE, isolation="docker")


def test_missing_bubblewrap_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verl_resrl.tasks.sandbox.bubblewrap", lambda: None)
    with pytest.raises(SandboxError, match=r"apt-get install bubblewrap.*isolation=limits"):
        check.__wrapped__("bwrap")


# -- attacks -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """Run all attacks, several at a time, as verl's reward workers do."""
    folder = tmp_path_factory.mktemp("attacks")
    folder.chmod(0o777)  # only the sandbox may keep a program from writing there
    (folder / "secret").write_text("1")
    os.environ["VERL_RESRL_TOKEN"] = "1"
    victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    listener = socket.create_server(("127.0.0.1", 0))
    words = {
        "CANARY": str(folder / "canary"),
        "SECRET": str(folder / "secret"),
        "PORT": str(listener.getsockname()[1]),
        "PARENT": str(victim.pid),
    }

    def attack(program: str) -> Outcome:
        for word, value in words.items():
            program = program.replace(word, value)
        return run(program, limits=LIMITS)

    with ThreadPoolExecutor(4) as pool:
        found = dict(zip(ATTACKS, pool.map(attack, ATTACKS.values()), strict=True))
    assert victim.poll() is None, "the victim was killed"
    assert not (folder / "canary").exists()
    assert not (Path.home() / "verl_resrl_canary").exists()
    listener.setblocking(False)
    with pytest.raises(BlockingIOError):
        listener.accept()
    victim.kill()
    victim.wait()
    listener.close()
    return found


@needs_bwrap
@pytest.mark.parametrize("name", ATTACKS)
def test_attack_fails(name: str, outcomes: dict[str, Outcome]) -> None:
    assert outcomes[name].stdout.strip() != "1"
    assert len(outcomes[name].stdout) <= LIMITS.file_bytes


@needs_bwrap
@pytest.mark.parametrize("name", ["fork bomb", "endless", "sleep", "deaf"])
def test_endless_attack_is_cut_off(name: str, outcomes: dict[str, Outcome]) -> None:
    assert outcomes[name].status == "timeout"


@needs_bwrap
def test_nothing_survives(outcomes: dict[str, Outcome]) -> None:
    assert outcomes["daemon"].status in ("ok", "timeout")  # it did start, and its end is that of the sandbox
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not any(b"/sandbox/child.py" in command for command in commands)


@needs_bwrap
def test_sandbox_still_works_after_the_attacks(outcomes: dict[str, Outcome]) -> None:
    assert run("import decimal\nprint(decimal.Decimal(input()))", "2.5", limits=LIMITS) == Outcome("ok", "2.5\n")


@pytest.mark.skipif(not works("limits"), reason="root's Python cannot be read by others")
@pytest.mark.parametrize("name", ["endless", "sleep", "output", "memory", "big file", "crash", "deaf"])
def test_limits_hold_without_bubblewrap(name: str) -> None:
    assert run(ATTACKS[name], limits=LIMITS, isolation="limits").status != "ok"


# -- sandbox-fusion ------------------------------------------------------------------------------------------------


class Fusion(BaseHTTPRequestHandler):
    """A server that speaks sandbox-fusion's protocol: it runs the program, without a sandbox."""

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        command = [sys.executable, "-I", "-c", request["code"]]
        try:
            done = subprocess.run(
                command, input=request["stdin"], capture_output=True, text=True, timeout=request["run_timeout"]
            )
            result = {"status": "Finished", "return_code": done.returncode, "stdout": done.stdout, "stderr": ""}
        except subprocess.TimeoutExpired:
            result = {"status": "TimeLimitExceeded", "return_code": None, "stdout": "", "stderr": ""}
        body = json.dumps({"status": "Success", "compile_result": None, "run_result": result}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def fusion() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Fusion)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/run_code"
    server.shutdown()
    server.server_close()


ENDLESS = ("while True: pass", SQUARE, "timeout")
NAMES = Tests(inputs=('"ab"',), outputs=('"AB"',), fn_name="upper").to_json()
BLANKS = Tests(inputs=("1",), outputs=("0.500",)).to_json()


@pytest.mark.parametrize(
    ("program", "truth", "status"),
    [*PROGRAMS, ENDLESS, ("def upper(x):\n    return x.upper()", NAMES, "right"), ("print('0.50 ')", BLANKS, "right")],
)
def test_a_server_judges_as_the_sandbox_does(program: str, truth: str, status: str, fusion: str) -> None:
    result = compute_score("x", block(program), truth, sandbox_fusion_url=fusion, cpu_seconds=2.0)
    assert result["status"] == status


def test_a_server_that_is_not_there_is_no_wrong_answer() -> None:
    with pytest.raises(SandboxError, match=r"server at http://127\.0\.0\.1:9/run_code did not run a program"):
        compute_score("x", block("print(9)"), SQUARE, sandbox_fusion_url="http://127.0.0.1:9/run_code")
