# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Which public data sets there are. A number or license that is not certain is None, never a guess."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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
        revision: commit there, 40 hexadecimal digits.
        split: of the data set.
        ability: verl's word for the kind of problem.
        convert: row -> task, or None for a row to leave out.
        train: whether it is for training; the others get ``extra_info.split`` "test".
        configs: of the data set, in order; None for its only one.
        files: in place of configs, files of the repository with their sha256, as others have published them
            (docs/reproduction.md says who); verified when they are downloaded at that commit.
        unique: leave out rows whose prompt has been there.
        rows: problems in the result; None where that is not known for certain.
        sha256: of the result (``prepare.digest``); None where nobody has recorded it.
        license: as the hub says; None where that was not looked up.
        note: what to know.
    """

    name: str
    hub: str
    revision: str
    split: str
    ability: str
    convert: Callable[[Mapping[str, Any]], Task | None]
    train: bool = False
    configs: tuple[str | None, ...] = (None,)
    files: Mapping[str, str] = field(default_factory=dict)
    unique: bool = False
    rows: int | None = None
    sha256: str | None = None
    license: str | None = None
    note: str = ""


def _math(question: str, answer: str, key: str | None) -> Callable[[Mapping[str, Any]], Task]:
    return partial(convert.math_task, question=question, answer=answer, key=key)


_LCB_RELEASE_V5 = {
    "test.jsonl": "2bd02b38beb48e8c46b5b9987095d999ff38cd8efc255ea5d58974317c48f63f",
    "test2.jsonl": "095df7c5daf15f882c51a9deb84085cff1e073495a5dbcf95015a564d485f3a3",
    "test3.jsonl": "28ed26cc83363ce3f1fe2d5fad9f8393077beb1907b167a31bd3b32f80801b79",
    "test4.jsonl": "d711138ddaebfcf5f8ec6a4283ee677298c0f5c5d374a235af92aaf0584510da",
    "test5.jsonl": "7f77571c2a6df0c2a72a3277650309f67e01e0008e18117e624633df53f81214",
}

SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        Source(
            name="dapo-math-17k",
            hub="BytedTsinghua-SIA/DAPO-Math-17k",
            revision="65877096c24ffa7abc4e4fa5edb95cf3413a5674",
            split="train",
            ability="math",
            convert=convert.dapo,
            files={"data/dapo-math-17k.parquet": "534375d6bb8630d22ab46a56e11f2ffec1d288d8f7d04099bc82d68948705941"},
            train=True,
            unique=True,
            license="apache-2.0",
            note="17,917 rows, 100 times each and some of them equal; each problem is kept once",
        ),
        Source(
            name="aime24",
            hub="HuggingFaceH4/aime_2024",
            files={
                "data/train-00000-of-00001.parquet": "26139847601a5037c237d5928b195e7260ca8074cf4f264b794af42847f79ccf"
            },
            revision="2fe88a2f1091d5048c0f36abc874fb997b3dd99a",
            split="train",
            ability="math",
            convert=_math("problem", "answer", "id"),
            rows=30,
        ),
        Source(
            name="aime25",
            hub="math-ai/aime25",
            files={"test.jsonl": "b4e273c02d3e7fe1b74b59eae768fc8230bfb0f79539890cb56f4361caac0331"},
            revision="563bb8404243c5f09de6ec262f2db674fe5bce9b",
            license="apache-2.0",
            split="test",
            ability="math",
            convert=_math("problem", "answer", "id"),
            rows=30,
        ),
        Source(
            name="amc23",
            hub="math-ai/amc23",
            revision="80815d37005feb82cd7f8fbc6901d5d3eff43057",
            split="test",
            ability="math",
            convert=_math("question", "answer", "id"),
            rows=40,
        ),
        Source(
            name="math500",
            hub="HuggingFaceH4/MATH-500",
            files={"test.jsonl": "35dc41080a3680858b27fa7e0533d2d547825316fc5dafe5d316f4ccc5a06132"},
            revision="6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be",
            split="test",
            ability="math",
            convert=_math("problem", "answer", "unique_id"),
            rows=500,
        ),
        Source(
            name="minerva",
            hub="math-ai/minervamath",
            revision="ee46ddc498933b1977577953250ca5c66be64f96",
            split="test",
            ability="math",
            convert=_math("question", "answer", None),
            rows=272,
        ),
        Source(
            name="olympiadbench",
            hub="Hothan/OlympiadBench",
            revision="91184b52131e7fc9455fef848035173aea8cc01a",
            license="apache-2.0",
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
            revision="0fe84c3912ea0c4d4a78037083943e8f0c4dd505",
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
            revision="fbe3f6e903ee854eec2e69e9d96d0306cde59baf",
            split="test",
            ability="code",
            convert=convert.codeforces,
            license="cc-by-4.0",
            note="of 468 rows those with one right output and complete tests; the paper's choice is not known to us",
        ),
        Source(
            name="humaneval-plus",
            hub="evalplus/humanevalplus",
            revision="d32357cf319e50e9c8d8dab5ea876c72b0fd321b",
            split="test",
            ability="code",
            convert=convert.human_eval_plus,
            rows=164,
            license="apache-2.0",
        ),
        Source(
            name="deepcoder",
            hub="agentica-org/DeepCoder-Preview-Dataset",
            revision="177913a7bd43791646ef6a43645caa3c871ab3db",
            license="mit",
            split="train",
            ability="code",
            convert=convert.deep_coder,
            train=True,
            configs=("primeintellect", "taco"),  # not lcbv5: problems of livecodebench, May 2023 to July 2024
            note="16,252 + 7,436 rows, without the 599 of LiveCodeBench, which is for tests; our choice: the paper's "
            "training set is not known to us",
        ),
    )
}
