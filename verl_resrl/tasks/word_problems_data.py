# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Word problems for training and evaluation, with worked solutions, in verl's data format."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from verl_resrl.tasks.rows import write_rows
from verl_resrl.tasks.word_problems import DATA_SOURCE, Term, terms_of

PEOPLE = ("Tom", "Mia", "Ben", "Ana", "Sam", "Lily", "Max", "Eva", "Leo", "Zoe", "Jack", "Nora", "Omar", "Ruth")
THINGS = ("apples", "books", "coins", "marbles", "pens", "shells", "stamps", "cards", "cookies", "balls", "eggs")
START = ("{who} has {value} {things}.", "{who} starts with {value} {things}.", "In {who}'s bag are {value} {things}.")
START_BOXES = ("{who} has {boxes} boxes with {value} {things} in each.", "{who} buys {boxes} bags of {value} {things}.")
GAIN = ("finds {value} more", "buys {value} more", "gets {value} from a friend", "picks up {value} more")
GAIN_BOXES = ("buys {boxes} boxes of {value} more", "gets {boxes} bags with {value} in each")
LOSS = ("gives {value} to a friend", "loses {value}", "sells {value}", "gives away {value}")
QUESTION = ("How many {things} does {who} have now?", "How many {things} are left?", "How many {things} are there now?")
SENTENCE = ("{step}.", "{who} has {step} {things}.", "That makes {step} {things}.")
MOST_EVENTS, SMALLEST, LARGEST = 3, 4, 80  # so that a model of 135M parameters is sometimes right
PATIENCE = 100_000  # draws without a new problem


@dataclass(frozen=True)
class Problem:
    """One problem.

    Attributes:
        story: the user's message.
        ground_truth: all that the verifier needs, such as ``4*6+5-12``, in the order of the story.
        who: that it is about.
        things: that are counted.
    """

    story: str
    ground_truth: str
    who: str
    things: str


def generate_problems(
    train: int, test: int, seed: int, events: int = MOST_EVENTS, scale: int = 1
) -> tuple[list[Problem], list[Problem]]:
    """Draw training and held-out problems; no two tell the same numbers, in whatever order or words.

    Args:
        train: number of training problems.
        test: number of held-out problems.
        seed: same seed, same problems; the held-out ones do not depend on ``train``.
        events: the most that happens after the beginning of a story, 1 to 7.
        scale: factor of the largest numbers of things without boxes.

    Returns:
        Training problems, held-out problems.

    Raises:
        ValueError: there are not that many.
    """
    rng = random.Random(seed)
    found: dict[object, list[Term]] = {}
    drawn = 0
    while len(found) < train + test:
        terms = _draw(rng, events, scale)
        drawn += 1
        if found.setdefault(_numbers(terms), terms) is terms:
            drawn = 0
        elif drawn == PATIENCE:
            raise ValueError(
                f"word problems: {train} + {test} wanted, and {PATIENCE} draws after the first {len(found)} gave none "
                "that is new: take more events or a larger scale"
            )
    words = random.Random(f"{seed} words")
    problems = [_tell(terms, words) for terms in found.values()]
    return problems[test:], problems[:test]


def _numbers(terms: Sequence[Term]) -> object:
    """What a right response can tell apart: neither the order nor four boxes of five from five boxes of four."""
    return tuple(sorted((term.sign, *sorted((term.value, term.boxes))) for term in terms))


def _draw(rng: random.Random, events: int, scale: int) -> list[Term]:
    """Something is there, then it grows and shrinks, and never below 1."""
    first = (
        Term(rng.randint(2, 9), 1, rng.randint(2, 6)) if rng.random() < 0.35 else Term(rng.randint(5, 40 * scale), 1)
    )
    terms, total = [first], first.boxes * first.value
    for _ in range(rng.randint(1 if first.boxes > 1 else min(2, events), events)):
        if total < SMALLEST or (total < LARGEST * scale and rng.random() < 0.5):
            with_boxes = rng.random() < 0.2
            term = Term(rng.randint(2, 5), 1, rng.randint(2, 5)) if with_boxes else Term(rng.randint(2, 20 * scale), 1)
        else:
            term = Term(rng.randint(2, min(total - 1, 20 * scale)), -1)
        terms.append(term)
        total += term.sign * term.boxes * term.value
    return terms


def _tell(terms: Sequence[Term], rng: random.Random) -> Problem:
    who, things = rng.choice(PEOPLE), rng.choice(THINGS)
    first, *events = terms
    told = [rng.choice(START_BOXES if first.boxes > 1 else START).format(who=who, things=things, **vars(first))]
    for term in events:
        ways = LOSS if term.sign < 0 else GAIN_BOXES if term.boxes > 1 else GAIN
        told.append(f"{who} {rng.choice(ways).format(**vars(term))}.")
    told.append(rng.choice(QUESTION).format(who=who, things=things))
    return Problem(" ".join(told), "".join(map(str, terms)).lstrip("+"), who, things)


def worked_solution(problem: Problem, rng: random.Random) -> str:
    """Write a right response, in the order of the story; the words vary.

    Args:
        problem: to solve.
        rng: chooses the words.
    """
    sentence = rng.choice(SENTENCE).format(step="{step}", who=problem.who, things=problem.things).format
    sentences: list[str] = []
    total: int | None = None
    for term in terms_of(problem.ground_truth):
        number = term.boxes * term.value
        if term.boxes > 1:
            sentences.append(sentence(step=f"{term.boxes} * {term.value} = {number}"))
        before, total = total, (total or 0) + term.sign * number
        if before is not None:
            sentences.append(sentence(step=f"{before} {'+' if term.sign > 0 else '-'} {number} = {total}"))
    return " ".join([*sentences, f"The answer is {total}."])


def write_parquet(problems: Sequence[Problem], split: str, path: Path, seed: int) -> None:
    """Write problems with worked solutions in verl's data format; the file appears whole or not at all.

    Args:
        problems: one row each.
        split: "train" or "test".
        path: the file.
        seed: of the words of the solutions.
    """
    rng = random.Random(seed)
    rows = [
        {
            "data_source": DATA_SOURCE,
            # the empty message keeps the template of SmolLM2 from adding one of its own
            "prompt": [{"role": "system", "content": ""}, {"role": "user", "content": problem.story}],
            "ability": "arithmetic",
            "reward_model": {"style": "rule", "ground_truth": problem.ground_truth},
            "extra_info": {"index": index, "split": split, "solution": worked_solution(problem, rng)},
        }
        for index, problem in enumerate(problems)
    ]
    write_rows(rows, path)
