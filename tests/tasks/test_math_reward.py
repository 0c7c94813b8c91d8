# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The mathematics reward: right and wrong answers, limits of time and memory, hostile answers, threads, its end."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from itertools import islice, product
from pathlib import Path

import numpy as np
import pytest

from tests.tasks.hostile import GOLD, answers
from verl_resrl.tasks import math_reward, math_worker
from verl_resrl.tasks.math_equal import equal
from verl_resrl.tasks.math_gold import check_ground_truth
from verl_resrl.tasks.math_grader import TAIL_CHARS, grade
from verl_resrl.tasks.math_reward import compute_score, same_answer

RIGHT = [
    (r"so it is \boxed{34}.", "34"),
    ("Answer: 34", "34"),
    ("**Answer:** $34$", "34"),
    ("Therefore the final answer is $2$.", "2"),
    (r"\boxed{0.5}", r"\frac{1}{2}"),
    (r"\boxed{\frac12}", r"\dfrac{1}{2}"),
    (r"\boxed{\frac{1}{2}", r"\frac{1}{2}"),  # a brace is missing
    (r"\boxed{\sqrt{8}}", r"2\sqrt{2}"),
    (r"\boxed{1,000}", "1000"),
    (r"\boxed{x=5}", "5"),
    (r"\boxed{5\text{ cm}}", "5"),
    (r"\boxed{10\%}", "10"),
    (r"\boxed{90^\circ}", "90"),
    (r"\boxed{3, 1, 2}", "1,2,3"),
    (r"\boxed{(1, 2)}", "(1,2)"),
    (r"\boxed{C}", r"\text{(C)}"),
    (r"\boxed{\text{East}}", r"\text{East}"),
    (r"\boxed{4.5 \times 10^{33}}", "4.5e33"),  # as Minerva writes numbers
    (r"\boxed{1} no, wait: \boxed{2}", "2"),
    (r"\boxed{\frac{14}{3} \approx 4.67}", "4.67"),
    (r"\boxed{503.7 \approx 504}", "504"),
    ("x" * 3 * TAIL_CHARS + r"\boxed{3}", "$3$"),
]
WRONG = [
    (r"\boxed{35}", "34"),
    ("34", "34"),  # not said to be the answer
    ("", "34"),
    (r"\boxed{}", "34"),
    (r"\boxed", "34"),
    (r"\boxed{34} but no: \boxed{}", "34"),
    (r"\boxed{1, 2, 3, 34}", "34"),
    (r"\boxed{34} or \boxed{35}", "34"),
    (r"\boxed{\frac{1}{23}}", r"\frac{12}{3}"),
    (r"\boxed{(2, 1)}", "(1,2)"),
    (r"\boxed{500 \approx 501 \approx 502 \approx 503 \approx 504 \approx 505}", "504"),  # a guess after the other
    (r"\boxed{500.1 \approx 504 \approx 505}", "504"),
    (r"\boxed{\frac{1000}{2} \approx 504}", "504"),
]


@pytest.mark.parametrize(("response", "gold"), RIGHT)
def test_right(response: str, gold: str) -> None:
    assert grade(response, gold).right


@pytest.mark.parametrize(("response", "gold"), WRONG)
def test_wrong(response: str, gold: str) -> None:
    assert not grade(response, gold).right


def test_result_has_verls_fields() -> None:
    expected = {"score": 1.0, "acc": 1.0, "pred": r"\frac{2}{4}", "gave_up": 0.0}
    assert compute_score("math500", r"\boxed{\frac{2}{4}}", "0.5", {"split": "test"}, num_turns=1) == expected


@pytest.mark.parametrize(
    ("gold", "text"),
    [
        (r"\frac{1}{2}", r"\frac{1}{2}"),
        (34, "34"),
        (34.0, "34.0"),
        (np.int64(34), "34"),
        ([34], "34"),
        (["34"], "34"),
        (np.array(["34"], dtype=object), "34"),
        ({"question": "How many?", "target": "34"}, "34"),
        ({"target": np.array([34])}, "34"),
    ],
)
def test_ground_truth_of_any_kind(gold: object, text: str) -> None:
    assert check_ground_truth(gold) == text


@pytest.mark.parametrize(
    "gold", ["", "  ", None, True, float("nan"), [], [1, 2], [""], {}, {"answer": "34"}, {"target": [1, 2]}, b"34"]
)
def test_ground_truth_that_is_none_is_refused(gold: object) -> None:
    with pytest.raises(ValueError, match="ground_truth must be the right answer"):
        compute_score("math500", r"\boxed{3}", gold)


def test_right_answer_is_not_given_up_on_a_busy_machine() -> None:
    """Its limit is of computing time, and the machine gives it a share only."""
    assert compute_score("x", r"\boxed{2}", "2")["score"] == 1.0  # the workers are there
    # judging takes some 0.1 s; with so many others that compute it would wait for seconds
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(6 * (os.cpu_count() or 1))]
    try:
        results = [compute_score("x", rf"\boxed{{x^{n} + x}}", f"x(1+x^{n - 1})", time_limit=0.6) for n in (3, 4, 5)]
    finally:
        for other in others:
            other.kill()
        for other in others:
            other.wait()
    assert [(result["score"], result["gave_up"]) for result in results] == [(1.0, 0.0)] * 3


def test_endless_answer_is_given_up_and_the_next_one_judged_also_off_the_main_thread() -> None:
    results = []

    def ask() -> None:
        for response in (r"\boxed{9^{9^{9^{9}}}}", rf"\boxed{{{GOLD}}}"):
            results.append(compute_score("math500", response, GOLD, time_limit=2.0))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted((r["score"], r["gave_up"]) for r in results) == [(0.0, 1.0)] * 2 + [(1.0, 0.0)] * 2


def test_answers_of_one_value_are_one_answer() -> None:
    spellings = (r"\frac{1}{2}", r"\dfrac12", "0.5", "1/2", "x = 0.5")
    assert all(same_answer(first, second) for first in spellings for second in spellings)
    assert same_answer("C. 5", "C")
    assert same_answer("C", "C. 5")
    assert not any(same_answer("0.5", other) for other in ("0.05", "", "1,2", "9^{9^{9}}"))


ANSWERS = r"""
34
-\frac{1}{2}
10_2
10_①
3:45
2:3
50\%
5\text{ cm}
\infty
C
\text{East}
x^2+y^2=4
y=2x+3
S=\emptyset
v=\begin{pmatrix}1\\1\end{pmatrix}
A=\{1,2\}
x=(1,2)
\begin{pmatrix}1&2\\3&4\end{pmatrix}
\emptyset
\{1,2\}
(0,\infty)
[1,2]\cup[3,4]
x>3
\mathbb{R}\setminus\{0\}
f(x)=x^2
1,000
1, 2
2\pm\sqrt{3}
y'=y
x\in[0,1]
\sin x
""".strip().split("\n")


def test_no_pair_of_answers_breaks_the_comparison() -> None:
    for first, second in product(ANSWERS, repeat=2):
        assert equal(first, second) in (True, False), (first, second)
        assert equal(first, first)


def test_an_answer_that_breaks_the_judge_counts_as_wrong_and_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise TypeError("no such sum")

    monkeypatch.setattr(math_worker, "grade", broken)
    monkeypatch.setattr(math_worker, "equal", broken)
    monkeypatch.setattr(math_reward, "_pool", SameProcess)
    assert compute_score("x", r"\boxed{2}", "2") == {"score": 0.0, "acc": 0.0, "pred": "", "gave_up": 1.0}
    assert not same_answer("2", "3")
    first, second = (record.getMessage() for record in caplog.records)
    assert "the judge fails on it (TypeError: no such sum)" in first
    assert second == "'2' and '3' count as different answers, their comparison fails (TypeError: no such sum)"


class SameProcess:
    """In place of the pool."""

    def schedule(self, function: Callable, args: tuple, timeout: float) -> Future:
        future: Future = Future()
        try:
            future.set_result(function(*args))
        except Exception as error:
            future.set_exception(error)
        return future


def test_hostile_answers(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    judged = 0
    for kind, answer in islice(answers(1, str(canary)), 60):
        if kind == "tower":  # see the test above
            continue
        result = compute_score("fuzz", answer, GOLD)
        assert result["score"] == 0.0, (kind, answer[:200])
        assert str(result["pred"]).encode("utf-8").decode("utf-8") == result["pred"]
        judged += 1
    assert judged > 50
    assert not canary.exists()
    assert compute_score("fuzz", rf"\boxed{{{GOLD}}}", GOLD)["score"] == 1.0


SCRIPT = """
from verl_resrl.tasks.math_reward import compute_score
if __name__ == "__main__":
    print(compute_score("x", "Answer: 2", "2")["score"])
"""


def test_process_that_judged_ends(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "1.0"), done.stderr


def test_judging_needs_no_torch() -> None:
    command = "import sys, verl_resrl.tasks.math_worker; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command], check=False).returncode == 0
