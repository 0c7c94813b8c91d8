# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Which public data sets there are. A number or license that is not certain is None, never a guess."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from verl_resrl.tasks.data import convert
from verl_resrl.tasks.data.convert import Task


@dataclass(frozen=True)
class Source:
    """A public data set.

    Attributes:
        name: for the command line, the file and ``data_source``.
        hub: id on the Hugging Face hub.
        split: of the data set.
        ability: verl's word for the kind of problem.
        convert: row -> task, or None for a row to leave out.
        train: whether it is for training; the others get ``extra_info.split`` "test".
        configs: of the data set, in order; None for its only one.
        files: in place of configs, files of the repository.
        unique: leave out rows whose prompt has been there.
        rows: problems in the result; None where that is not known for certain.
        sha256: of the result (``prepare.digest``); None where nobody has recorded it.
        revision: commit on the hub; None: the newest, whose commit is recorded.
        license: as the hub says; None where that was not looked up.
        note: what to know.
    """

    name: str
    hub: str
    split: str
    ability: str
    convert: Callable[[Mapping[str, Any]], Task | None]
    train: bool = False
    configs: tuple[str | None, ...] = (None,)
    files: tuple[str, ...] = ()
    unique: bool = False
    rows: int | None = None
    sha256: str | None = None
    revision: str | None = None
    license: str | None = None
    note: str = ""


def _math(question: str, answer: str, key: str | None) -> Callable[[Mapping[str, Any]], Task]:
    return partial(convert.math_task, question=question, answer=answer, key=key)


_LCB_RELEASE_V5 = ("test.jsonl", *(f"test{number}.jsonl" for number in range(2, 6)))

SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        Source(
            name="dapo-math-17k",
            hub="BytedTsinghua-SIA/DAPO-Math-17k",
            split="train",
            ability="math",
            convert=convert.dapo,
            train=True,
            unique=True,
            license="apache-2.0",
            note="the source repeats each of about 17 thousand problems 100 times; each is kept once",
        ),
        Source(
            name="aime24",
            hub="HuggingFaceH4/aime_2024",
            split="train",
            ability="math",
            convert=_math("problem", "answer", "id"),
            rows=30,
        ),
        Source(
            name="aime25",
            hub="math-ai/aime25",
            split="test",
            ability="math",
            convert=_math("problem", "answer", "id"),
            rows=30,
        ),
        Source(
            name="amc23",
            hub="math-ai/amc23",
            split="test",
            ability="math",
            convert=_math("question", "answer", "id"),
            rows=40,
        ),
        Source(
            name="math500",
            hub="HuggingFaceH4/MATH-500",
            split="test",
            ability="math",
            convert=_math("problem", "answer", "unique_id"),
            rows=500,
        ),
        Source(
            name="minerva",
            hub="math-ai/minervamath",
            split="test",
            ability="math",
            convert=_math("question", "answer", None),
            rows=272,
        ),
        Source(
            name="olympiadbench",
            hub="Hothan/OlympiadBench",
            split="train",
            ability="math",
            convert=convert.olympiad,
            configs=("OE_TO_maths_en_COMP",),
            rows=674,
            note="open-ended, text-only, English mathematics of competitions",
        ),
        Source(
            name="livecodebench",
            hub="livecodebench/code_generation_lite",
            split="test",
            ability="code",
            convert=convert.live_code_bench,
            files=_LCB_RELEASE_V5,
            rows=880,
            license="cc",
            note="release_v5 (May 2023 to January 2025); which release the paper used is not known to us",
        ),
        Source(
            name="codeforces",
            hub="open-r1/codeforces",
            split="test",
            ability="code",
            convert=convert.codeforces,
            license="cc-by-4.0",
            note="one right output, complete tests, with ratings; the paper's selection is not known to us",
        ),
        Source(
            name="humaneval-plus",
            hub="evalplus/humanevalplus",
            split="test",
            ability="code",
            convert=convert.human_eval_plus,
            rows=164,
            license="apache-2.0",
        ),
        Source(
            name="deepcoder",
            hub="agentica-org/DeepCoder-Preview-Dataset",
            split="train",
            ability="code",
            convert=convert.deep_coder,
            train=True,
            configs=("primeintellect", "taco", "lcbv5"),
            note="training set of our choice: which one the paper used is not known to us",
        ),
    )
}
