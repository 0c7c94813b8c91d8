# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Word problems: the verifier against an independent one, worked solutions, hostile model text."""

import random
import re

import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from verl_resrl.tasks.word_problems import DATA_SOURCE, answer_of, compute_score, read, terms_of
from verl_resrl.tasks.word_problems_data import generate_problems, worked_solution, write_parquet

STORY = "4*6+5-12"


def score(text: str, ground_truth: str = STORY) -> float:
    return compute_score(DATA_SOURCE, text, ground_truth)["score"]


def independent_score(ground_truth: str, steps: list[tuple[int, str, int, int]], said: int) -> float:
    """A second verifier that shares no code with the first: strings like +24 and -12, tried out by recursion."""

    def follow(left: list[str], todo: list[tuple[int, str, int, int]]) -> bool:
        if not todo:
            return left == [f"+{said}"]
        (a, operation, b, result), rest = todo[0], todo[1:]
        if eval(f"{a}{operation}{b}") != result or result < 0:
            return False
        if operation == "*":
            uses = [[f"{sign}{x}*{y}"] for sign in "+-" for x, y in ((a, b), (b, a))]
        elif operation == "+":
            uses = [[f"{sign}{a}", f"{sign}{b}"] for sign in "+-"]
        else:
            uses = [[f"+{a}", f"-{b}"]]
        for used in uses:
            remaining = list(left)
            try:
                for text in used:
                    remaining.remove(text)
            except ValueError:
                continue
            if follow([*remaining, f"{used[0][0]}{result}"], rest):
                return True
        return False

    return float(follow(re.findall("[+-][^+-]+", "+" + ground_truth), steps))


@pytest.mark.parametrize(
    "text",
    [
        "4 * 6 = 24. Then 24 + 5 = 29 and 29 - 12 = 17. The answer is 17.",
        "6*4=24, 5+24=29, 29-12=17; the answer is 17",
        "First 4 * 6 = 24. Taking away, 24 - 12 = 12.\nThat leaves 12 + 5 = 17 apples.\n\nThe ANSWER is 17. \n",
        "Tom, who has 9 friends, has 4 * 6 = 24 - he counts step-by-step - and 24 + 5 = 29. 29 - 12 = 17. Answer is 17",
        # in Markdown
        "- 4 * 6 = 24\n- 24 + 5 = 29\n- 29 - 12 = 17\nThe answer is 17.",
        "* 4 * 6 = 24\n  * 24 + 5 = 29\n+ 29 - 12 = 17\nThe answer is **17**.",
        "**4 * 6 = 24**, then 24 + 5 = **29**.\n- **29 - 12 = 17**\n**The answer is 17.**",
        "1. 4 * 6 = 24\n2. 24 + 5 = 29\n3. 29 - 12 = 17\nThe answer is **17.**",
    ],
)
def test_right_answers(text: str) -> None:
    assert score(text) == 1.0


def test_losses_may_be_added_up_first() -> None:
    text = "5 + 12 = 17. 40 - 17 = 23. The answer is 23."
    assert score(text, "40-5-12") == 1.0
    assert score(text, "40+5-12") == 0.0  # there the sum is of a gain and a loss
    assert score("5 + 12 = 17. 40 + 17 = 57. The answer is 57.", "40+5+12") == 1.0


RIGHT = "4 * 6 = 24. 24 + 5 = 29. 29 - 12 = 17. "


@pytest.mark.parametrize(
    ("text", "wrong_from"),
    [
        ("", 0),
        ("The answer is 17.", 4),  # without steps
        ("4 * 6 = 24. The answer is 17.", 16),
        (RIGHT, len(RIGHT)),
        (RIGHT + "The answer is 18.", len(RIGHT) + 15),
        (RIGHT + "The answer is 17 apples.", len(RIGHT) + 16),
        (RIGHT + "The answer is 17. The answer is 17.", len(RIGHT) + 17),
        (RIGHT + "The answer is 18. The answer is 17.", len(RIGHT) + 15),
        ("4 * 6 = 24. The answer is 24. 24 + 5 = 30", 16),  # too early, and with that everything after it
        ("4 * 6 = 24. The answer is 24. 24 + 5 = 29. 29 - 12 = 17. The answer is 17.", 16),
        (RIGHT + "The answer is 017.", len(RIGHT) + 14),
        (RIGHT + "The an\u017fwer i\u017f 17.", len(RIGHT) + 17),  # letters that are alike only where case is ignored
        (RIGHT + "The answer is \u0661\u0667.", len(RIGHT) + 14),
        (RIGHT + "17 + 1 = 18. The answer is 18.", len(RIGHT)),
        ("4 * 6 = 25. 25 + 5 = 30. 30 - 12 = 18. The answer is 18.", 9),
        ("4 + 6 = 10. 10 + 5 = 15. 15 - 12 = 3. The answer is 3.", 2),
        ("4 * 6 = 24. 24 - 5 = 19. 19 + 12 = 31. The answer is 31.", 17),  # 24 - 12 would be right
        ("4 * 6 = 24. 24 + 5 = 29 - 12 = 17. The answer is 17.", 24),  # a step after another needs its own beginning
        ("4 * 6 = 24.5. 24 + 5 = 29. 29 - 12 = 17. The answer is 17.", 10),
        ("4 * 6 = 24. 24 + 5 = 29. 24 + 5 = 29. 29 - 12 = 17. The answer is 17.", 26),
        ("2 * 2 * 6 = 24. 24 + 5 = 29. 29 - 12 = 17. The answer is 17.", 0),
        ("4 * 6 == 24. 24 + 5 = 29. 29 - 12 = 17. The answer is 17.", 7),
        ("4 \u00d7 6 = 24. 24 + 5 = 29. 29 - 12 = 17. The answer is 17.", 6),
        ("- 4 * 6 = 25\n- 25 + 5 = 30\nThe answer is 30.", 11),
        ("- **4 * 6 = 25**\nThe answer is 30.", 13),
        ("-4 * 6 = 24\n24 + 5 = 29\n29 - 12 = 17\nThe answer is 17.", 0),
        ("Tom - 4 * 6 = 24\n24 + 5 = 29\n29 - 12 = 17\nThe answer is 17.", 4),  # within a line it is a minus
        ("4 ** 6 = 24. 24 + 5 = 29. 29 - 12 = 17. The answer is 17.", 5),
        (RIGHT + "The answer is **18**.", len(RIGHT) + 17),
        # powers are not bold type
        ("4 * 6 = 2**4. 24 + 5 = 29. 29 - 12 = 17. The answer is 17.", 9),
        ("4 * 6 = 24. 2**4 + 5 = 29. 29 - 12 = 17. The answer is 17.", 13),
        ("4***6 = 24. 24 + 5 = 29. 29 - 12 = 17. The answer is 17.", 2),
        (RIGHT + "The answer is 1**7.", len(RIGHT) + 15),
        ("\u0664 * 6 = 24. 24 + 5 = 29. 29 - 12 = 17. The answer is 17.", 2),
    ],
)
def test_the_first_wrong_character_is_known(text: str, wrong_from: int) -> None:
    assert score(text) == 0.0
    assert read(text, STORY).wrong_from == wrong_from


@pytest.mark.parametrize(
    "text",
    [
        "9" * 10_000_000,
        "1+" * 2_000_000,
        "1 + 1 = 2. " * 200_000,
        "=" * 5_000_000,
        "answer is " * 500_000,
        "\x00\ud800",
    ],
    ids=lambda text: text.encode("ascii", "replace")[:12].decode(),
)
def test_hostile_text_scores_0(text: str) -> None:
    assert compute_score(DATA_SOURCE, text, STORY)["score"] == 0.0


@given(st.text() | st.text("0123456789+-*/=,.() \nanswer is", max_size=80))
@example("1 + 1 = 2. The answer is 2.")
def test_any_text_gets_a_score(text: str) -> None:
    reading = read(text, STORY)
    assert score(text) == float(reading.wrong_from is None)
    assert reading.wrong_from is None or 0 <= reading.wrong_from <= len(text)


@st.composite
def attempts(draw: st.DrawFn) -> tuple[str, list[tuple[int, str, int, int]], int]:
    """A story and steps that are often but not always right."""
    numbers = [str(draw(st.integers(1, 9))) for _ in range(draw(st.integers(2, 4)))]
    signs = ["", *(draw(st.sampled_from("+-")) for _ in numbers[1:])]
    if draw(st.booleans()):
        numbers[0] = f"{draw(st.integers(2, 3))}*{numbers[0]}"
    left = [int(number) for text in numbers for number in text.split("*")]
    steps, result = [], 0
    for _ in range(draw(st.integers(1, 4))):
        a, b = draw(st.sampled_from(left)), draw(st.sampled_from(left))
        operation = draw(st.sampled_from("*+-" if "*" in numbers[0] else "+-"))
        result = abs(eval(f"{a}{operation}{b}")) + draw(st.sampled_from([0, 0, 0, 0, 1]))
        steps.append((a, operation, b, result))
        for used in (a, b):
            if used in left and len(left) > 1:
                left.remove(used)
        left.append(result)
    return "".join(s + n for s, n in zip(signs, numbers, strict=True)), steps, result


@settings(max_examples=500)
@given(attempts())
@example(("4*6+5-12", [(4, "*", 6, 24), (24, "+", 5, 29), (29, "-", 12, 17)], 17))
@example(("5+3-5-3", [(5, "+", 3, 8), (8, "-", 5, 3), (3, "-", 3, 0)], 0))
@example(("9-5-3", [(5, "+", 3, 8), (9, "-", 8, 1)], 1))
def test_agrees_with_an_independent_verifier(attempt: tuple[str, list[tuple[int, str, int, int]], int]) -> None:
    ground_truth, steps, said = attempt
    text = " ".join(f"{a} {operation} {b} = {result}." for a, operation, b, result in steps)
    assert score(f"{text} The answer is {said}.", ground_truth) == independent_score(ground_truth, steps, said)


def test_worked_solutions_are_right_and_vary() -> None:
    rng = random.Random(0)
    problems, _ = generate_problems(200, 0, seed=0)
    texts = [worked_solution(problem, rng) for problem in problems for _ in range(3)]
    stories = [problem.ground_truth for problem in problems for _ in range(3)]
    assert all(map(score, texts, stories))
    assert any("*" in text for text in texts)
    assert len(set(texts)) > 400


def right_texts(left: list[str]) -> list[str]:
    """Every right response in one wording, by strings like +24, -12 and +4*6 alone."""
    texts = []
    for one in left:
        if "*" in one:
            a, b = one[1:].split("*")
            for x, y in ((a, b), (b, a)):
                product = str(int(a) * int(b))
                rest = right_texts([text for text in left if text is not one] + [one[0] + product])
                texts += [f"{x} * {y} = {product}. {text}" for text in rest]
        for other in left:
            if one is other or "*" in one + other or one[0] + other[0] == "-+":
                continue
            result = eval(f"{one[1:]}{'+' if one[0] == other[0] else '-'}{other[1:]}")
            if result >= 0:
                sign, rest = one[0], [text for text in left if text is not one and text is not other]
                operation = "+" if one[0] == other[0] else "-"
                step = f"{one[1:]} {operation} {other[1:]} = {result}. "
                texts += [step + text for text in right_texts([*rest, f"{sign}{result}"])]
    return texts or [f"The answer is {left[0][1:]}." for _ in range(len(left) == 1)]


def test_one_digit_changed_is_found_where_no_right_response_goes_on() -> None:
    rng = random.Random(0)
    problems, _ = generate_problems(150, 0, seed=1)
    for problem in problems:
        every = right_texts([str(term) for term in terms_of(problem.ground_truth)])
        text = rng.choice(every)
        assert score(text, problem.ground_truth) == 1.0
        place = rng.choice([found.start() for found in re.finditer("[0-9]", text)])
        broken = text[:place] + str((int(text[place]) + rng.randint(1, 9)) % 10) + text[place + 1 :]
        if broken not in every:
            agreements = [next(i for i in range(999) if broken[: i + 1] != right[: i + 1]) for right in every]
            assert read(broken, problem.ground_truth).wrong_from == max(agreements)


def test_right_answers_are_named_by_their_steps_and_wrong_ones_by_what_they_say() -> None:
    one = "4 * 6 = 24. 24 + 5 = 29. 29 - 12 = 17. The answer is 17."
    other = "So 4*6=24, 24+5=29 and 29 -12= 17. The answer is **17**"
    assert answer_of(one, STORY) == answer_of(other, STORY) == "4*6=24,24+5=29,29-12=17"
    assert answer_of("4 * 6 = 24. 24 - 12 = 12. 12 + 5 = 17. The answer is 17.", STORY) == "4*6=24,24-12=12,12+5=17"
    assert answer_of(one.replace("is 17", "is 99"), STORY) == "99"
    assert answer_of("4 * 6 = 25. The answer is **25**.", STORY) == "25"
    assert answer_of("The answer is 17.", STORY) == "17"
    assert answer_of("4 * 6 = 24.", STORY) is None
    assert answer_of("The answer is 17 or 18.", STORY) is None


def test_generated_problems_are_seeded_and_disjoint(tmp_path) -> None:
    train, test = generate_problems(500, 100, seed=3)
    assert generate_problems(300, 100, seed=3) == (train[:300], test)
    assert generate_problems(500, 100, seed=4) != (train, test)
    # four boxes of five and five boxes of four have the same right responses
    keys = [
        tuple(sorted("*".join(sorted(term.split("*"))) for term in re.findall("[+-][0-9*]+", f"+{p.ground_truth}")))
        for p in train + test
    ]
    assert any("*" in term for key in keys for term in key)
    assert len(set(keys)) == len(keys)
    for problem in train + test:
        terms = terms_of(problem.ground_truth)
        told = [int(number) for number in re.findall("[0-9]+", problem.story)]
        assert sorted(told) == sorted(n for term in terms for n in (term.value, term.boxes) if n > 1 or n == term.value)
        total = 0
        for term in terms:
            total += term.sign * term.boxes * term.value
            assert total >= 1
    write_parquet(train, "train", tmp_path / "train.parquet", seed=0)
    rows = pq.read_table(tmp_path / "train.parquet").to_pylist()
    assert [row["reward_model"]["ground_truth"] for row in rows] == [problem.ground_truth for problem in train]
    assert all(score(row["extra_info"]["solution"], row["reward_model"]["ground_truth"]) for row in rows)
    assert rows[0]["prompt"][-1]["content"] == train[0].story


@pytest.mark.parametrize(
    "text", ["", "4", "4*6", "-4+5", "4*6*2+1", "4+0", "04+1", "4+1+", "4 + 1", "4/2+1", "1" * 9 + "+1"]
)
def test_malformed_ground_truth_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is not of the form"):
        compute_score(DATA_SOURCE, "The answer is 1.", text)


@pytest.mark.parametrize("events", [1, 7])
def test_as_many_events_as_asked_for(events: int) -> None:
    problems, _ = generate_problems(200, 0, seed=0, events=events)
    assert max(len(terms_of(problem.ground_truth)) for problem in problems) == 1 + events
