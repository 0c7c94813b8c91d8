# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Countdown: the verifier against an independent one, the solver against brute force, hostile model text."""

import random
import re
from collections import Counter

import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from verl_resrl.tasks.countdown import DATA_SOURCE, Problem, canonical_answer, compute_score
from verl_resrl.tasks.countdown_data import generate_problems, write_parquet
from verl_resrl.tasks.countdown_solver import sample_solution, solutions_by_target

OPERATIONS = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b}


def score(text, ground_truth="8649>47"):
    return compute_score(DATA_SOURCE, text, ground_truth)["score"]


def independent_score(numbers, target, text):
    """A second verifier that shares no code with the first: counts what is left after each step."""
    left = Counter(numbers)
    value = None
    for step in text.split(","):
        match = re.fullmatch(r"([0-9]+)([-+*])([0-9]+)=([0-9]+)", step)
        if not match or any(len(x) > 1 and x[0] == "0" for x in match.group(1, 3, 4)):
            return 0.0
        a, b, value = (int(match[i]) for i in (1, 3, 4))
        left.subtract([a, b])
        if min(left.values()) < 0 or OPERATIONS[match[2]](a, b) != value:
            return 0.0
        left[value] += 1
    return float(value == target)


def reachable(numbers):
    """Brute force by splitting the numbers into two sets: every natural number up to 99 that some of them make."""
    memo = {}

    def exactly(items):
        if items not in memo:
            memo[items] = {items[0]} if len(items) == 1 else set()
            for mask in range(1, 2 ** len(items) - 1):
                left = tuple(x for i, x in enumerate(items) if mask >> i & 1)
                right = tuple(x for i, x in enumerate(items) if not mask >> i & 1)
                for a in exactly(left):
                    for b in exactly(right):
                        memo[items] |= {x for x in (a + b, a * b, a - b) if 0 <= x <= 99}
        return memo[items]

    subsets = ([x for i, x in enumerate(numbers) if mask >> i & 1] for mask in range(1, 2 ** len(numbers)))
    return set().union(*(exactly(tuple(subset)) for subset in subsets if len(subset) > 1))


@pytest.mark.parametrize(
    "text",
    ["6+9=15,8*4=32,15+32=47", "9+6=15,4*8=32,32+15=47", " 6+9=15,8*4=32,15+32=47\n", "8*4=32,6+32=38,38+9=47"],
)
def test_right_answers(text):
    assert score(text) == 1.0


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",",
        "47",
        "47=47",
        "6+9=15,8*4=32,15+32=48",
        "6+9=16,8*4=32,16+32=48",
        "6+9=15,8*4=32",
        "6+9=15,8*4=32,15+32=47,",
        "6+9=15,8*4=32,15+32=47,47-6=41",
        "8+8=16,16*4=64,64-9=55",
        "6+9=15,6+9=15,8*4=32,15+32=47",
        "6+9=15,15+15=30,30+9=39",
        "6+9=15,8*4=32,15+32",
        "6+9=15 8*4=32 15+32=47",
        "6+9=15, 8*4=32,15+32=47",
        "6+9=015,8*4=32,15+32=47",
        "8/4=2,9*6=54,54-2=52",
        "4-8=-4,-4+9=5",
        "94/2=47",
        "46+1=47",
        "\uff16+9=15,8*4=32,15+32=47",
        "6+9=\u0661\u0665,8*4=32,15+32=47",
        "6**9=10077696",
        "__import__('os').system('true')=47",
        "9" * 5000 + "+1=47",
        "6+9=" + "9" * 10_000_000,
        "6+9=15," * 1_500_000,
        "\x00\ud800\N{COMBINING ACUTE ACCENT}",
    ],
    ids=lambda text: text.encode("ascii", "replace")[:24].decode(),
)
def test_wrong_answers(text):
    assert compute_score(DATA_SOURCE, text, "8649>47") | {"legal": 0.0} == {"score": 0.0, "legal": 0.0}
    assert canonical_answer(text, "8649>47") is None


def test_legal_steps_to_another_number_are_told_apart_from_nonsense():
    assert compute_score(DATA_SOURCE, "6+9=15", "8649>47") == {"score": 0.0, "legal": 1.0}
    assert compute_score(DATA_SOURCE, "6+9=16", "8649>47") == {"score": 0.0, "legal": 0.0}


@given(st.text() | st.text("0123456789+-*/=,() \n", max_size=60))
@example("1+1=2")
def test_any_text_gets_a_score(text):
    assert score(text) in (0.0, 1.0)


@st.composite
def attempts(draw):
    """Numbers, a target and steps that are often but not always right."""
    numbers = draw(st.lists(st.integers(1, 9), min_size=2, max_size=4))
    left, steps, value = list(numbers), [], 0
    for _ in range(draw(st.integers(1, 4))):
        a, b = draw(st.sampled_from(left)), draw(st.sampled_from(left) | st.integers(0, 20))
        operation = draw(st.sampled_from("+-*"))
        value = OPERATIONS[operation](a, b) + draw(st.sampled_from([0, 0, 0, 0, 1]))
        steps.append(f"{a}{operation}{b}={value}")
        for used in (a, b):
            if used in left and len(left) > 1:
                left.remove(used)
        left.append(value)
    target = draw(st.sampled_from([value, value, value + 1]))
    return numbers, target, ",".join(steps)


@settings(max_examples=500)
@given(attempts())
@example(([8, 6, 4, 9], 47, "6+9=15,8*4=32,15+32=47"))
@example(([2, 3, 6], 12, "2*3=6,6+6=12"))
def test_agrees_with_an_independent_verifier(attempt):
    numbers, target, text = attempt
    if target >= 0:
        assert score(text, "".join(map(str, numbers)) + f">{target}") == independent_score(numbers, target, text)


@given(st.lists(st.integers(1, 9), min_size=2, max_size=4).map(lambda x: tuple(sorted(x))))
@settings(max_examples=15, deadline=None)
@example((2, 2, 3, 3))
def test_solver_finds_exactly_what_brute_force_finds(numbers):
    solved = solutions_by_target(numbers)
    assert set(solved) == reachable(numbers) - set(numbers)
    for target, answers in solved.items():
        ground_truth = Problem(numbers, target).ground_truth
        for expression, texts in answers.items():
            assert texts
            for text in texts:
                assert score(text, ground_truth) == independent_score(numbers, target, text) == 1.0
                assert canonical_answer(text, ground_truth) == expression


def test_a_solution_with_one_character_changed_is_judged_by_the_independent_verifier():
    rng = random.Random(0)
    problems, _ = generate_problems(100, 0, seed=1, num_numbers=3, min_answers=1)
    verdicts = []
    for problem in problems:
        text = sample_solution(problem, rng).text
        place = rng.randrange(len(text))
        broken = text[:place] + rng.choice("0123456789+-*=,x") + text[place + 1 :]
        verdicts.append(score(broken, problem.ground_truth))
        assert verdicts[-1] == independent_score(problem.numbers, problem.target, broken)
    assert verdicts.count(0.0) > 50


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("6+9=15,8*4=32,15+32=47", "4*8=32,32+9=41,41+6=47", True),
        ("6+9=15,8*4=32,15+32=47", "9*4=36,36+8=44,44-6=38", False),
        ("8-4=4,9-4=5", "8-4=4,9-4=5", True),
    ],
)
def test_canonical_form_forgets_order_and_grouping(one, other, same):
    target = one.rsplit("=", 1)[1]
    a, b = canonical_answer(one, f"8649>{target}"), canonical_answer(other, f"8649>{target}")
    assert a is not None
    assert (a == b) is same


def test_canonical_form_keeps_signs_of_nested_differences():
    # 9 - (8 - 6) and (9 + 6) - 8 are the same sum of signed numbers; 9 - 8 + ... is not (8 + 6) - 9
    assert canonical_answer("8-6=2,9-2=7", "8649>7") == canonical_answer("9+6=15,15-8=7", "8649>7") == "+6+9-8"
    assert canonical_answer("8-6=2,2*4=8,9-8=1", "8649>1") == "+9-(+8-6)*4"


def test_generated_problems_are_seeded_disjoint_and_have_several_answers():
    train, test = generate_problems(300, 50, seed=3)
    again = generate_problems(200, 50, seed=3)
    assert again == (train[:200], test)
    assert generate_problems(300, 50, seed=4) != (train, test)
    keys = [problem.key for problem in train + test]
    assert len(keys) == len(set(keys)) == 350
    for problem in test:
        answers = solutions_by_target(tuple(sorted(problem.numbers)))[problem.target]
        assert len(answers) >= 5
        assert 10 <= problem.target <= 99


def test_errors_say_what_is_wrong():
    with pytest.raises(ValueError, match=r"only .* have 5 answers"):
        generate_problems(10**6, 10, seed=0, num_numbers=3)
    with pytest.raises(ValueError, match="111>99 has no solution"):
        sample_solution(Problem((1, 1, 1), 99), random.Random(0))
    with pytest.raises(ValueError, match="ground truth 'rubbish' is not of the form"):
        compute_score(DATA_SOURCE, "1+1=2", "rubbish")


def test_parquet_has_the_columns_that_verl_reads(tmp_path):
    _, problems = generate_problems(0, 5, seed=0, num_numbers=3, min_answers=1)
    write_parquet(problems, "test", tmp_path / "test.parquet")
    rows = pq.read_table(tmp_path / "test.parquet").to_pylist()
    assert list(rows[0]) == ["data_source", "prompt", "ability", "reward_model", "extra_info"]
    for index, (row, problem) in enumerate(zip(rows, problems, strict=True)):
        assert row["prompt"] == [{"role": "user", "content": problem.prompt}]
        assert Problem.from_ground_truth(row["reward_model"]["ground_truth"]) == problem
        assert row["reward_model"]["style"] == "rule"
        assert row["extra_info"] == {"index": index, "split": "test"}
    assert [path.name for path in tmp_path.iterdir()] == ["test.parquet"]
