# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Public data sets in their own schemas -> parquet files that verl's data set and the reward functions read."""

import base64
import hashlib
import json
import os
import pickle
import re
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from verl_resrl.tasks.code_reward import Tests
from verl_resrl.tasks.data import convert
from verl_resrl.tasks.data.environments import ENVIRONMENTS
from verl_resrl.tasks.data.prepare import SCHEMA, DataError, prepare
from verl_resrl.tasks.data.sources import SOURCES

SCRIPT = Path(__file__).parents[2] / "scripts" / "prepare_data.py"
DAPO_PROMPT = (
    "Solve the following math problem step by step. The last line of your response should be of the form Answer: 1"
)


def packed(cases: list[dict[str, str]]) -> str:
    """Tests as LiveCodeBench packs them."""
    return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(cases)))).decode()


def lcb(**changes: Any) -> dict[str, Any]:
    row = {
        "question_title": "A. Short Sort",
        "question_content": "Sort.",
        "platform": "codeforces",
        "question_id": "1873_A",
        "contest_id": "1873",
        "contest_date": "2023-08-21T00:00:00",
        "starter_code": "",
        "difficulty": "easy",
        "public_test_cases": json.dumps([{"input": "abc\n", "output": "YES\n", "testtype": "stdin"}]),
        "private_test_cases": packed([{"input": "cab\n", "output": "NO\n", "testtype": "stdin"}]),
        "metadata": "{}",
    }
    return row | changes


def codeforces(**changes: Any) -> dict[str, Any]:
    row = {
        "id": "2061/A",
        "contest_id": "2061",
        "title": "Kevin and Arithmetic",
        "description": "Add.",
        "input_format": "Two numbers.",
        "output_format": "Their sum.",
        "note": None,
        "examples": [{"input": "1 2", "output": "3"}],
        "rating": 800,
        "official_tests": [{"input": "1 2\n", "output": "3\n"}],
        "official_tests_complete": True,
        "input_mode": "stdio",
        "generated_checker": None,
        "executable": True,
    }
    return row | changes


def olympiad(**changes: Any) -> dict[str, Any]:
    row = {
        "id": 1606,
        "question": "Find $x$.",
        "solution": ["..."],
        "final_answer": ["$2$", "$\\frac{1}{2}$"],
        "context": None,
        "modality": "Text-only",
        "difficulty": "Competition",
        "is_multiple_answer": True,
        "unit": None,
        "answer_type": "Numerical",
        "error": None,
        "question_type": "Open-ended",
        "subfield": "Algebra",
        "subject": "Math",
        "language": "English",
    }
    return row | changes


# a row or two of each source in its own schema
ROWS: dict[str, list[dict[str, Any]]] = {
    "dapo-math-17k": [
        {
            "data_source": "math_dapo",
            "prompt": [{"content": f"{DAPO_PROMPT} {number}", "role": "user"}],
            "ability": "MATH",
            "reward_model": {"ground_truth": "34", "style": "rule-lighteval/MATH_v2"},
            "extra_info": {"index": f"9a9b6eb4-{number}"},
        }
        for number in (1, 2, 1)
    ],
    "aime24": [{"id": 60, "problem": "P", "solution": "S", "answer": "204", "url": "u", "year": "2024"}],
    "aime25": [{"problem": "P", "answer": "70", "id": "0"}],
    "amc23": [{"id": 0, "question": "Q", "answer": "27.0", "url": "u"}],
    "math500": [
        {
            "problem": "P",
            "solution": "S",
            "answer": "\\left( 3, \\frac{\\pi}{2} \\right)",
            "subject": "Precalculus",
            "level": 2,
            "unique_id": "test/precalculus/807.json",
        }
    ],
    "minerva": [{"question": "Q", "answer": "4.5e33"}],
    "olympiadbench": [olympiad(), olympiad(answer_type="Need_human_evaluate"), olympiad(modality="Multimodal")],
    "livecodebench": [
        lcb(),
        lcb(
            starter_code="class Solution:\n    def add(self, a: int, b: int) -> int:\n        ",
            public_test_cases=json.dumps([{"input": "1\n2", "output": "3", "testtype": "functional"}]),
            private_test_cases=json.dumps([{"input": "3\n4", "output": "7", "testtype": "functional"}]),
            metadata=json.dumps({"func_name": "add"}),
        ),
    ],
    "codeforces": [
        codeforces(),
        codeforces(generated_checker="def check(): ..."),
        codeforces(input_mode="file"),
        codeforces(official_tests_complete=False),
    ],
    "humaneval-plus": [
        {
            "task_id": "HumanEval/0",
            "prompt": "from typing import List\n\n\ndef f(x: int) -> int:\n    '''Double.'''\n",
            "canonical_solution": "    return 2 * x\n",
            "entry_point": "f",
            "test": "def check(candidate):\n    assert candidate(2) == 4\n",
        }
    ],
    "deepcoder": [
        {
            "problem": "P",
            "starter_code": "",
            "tests": json.dumps([{"input": "1\n", "output": "2\n", "testtype": "stdin"}]),
            "metadata": {"func_name": None},
        },
        {"problem": "P2", "tests": json.dumps({"inputs": ["1\n"], "outputs": ["2\n"]})},
        {
            "problem": "P3",
            "tests": json.dumps({"fn_name": "add", "inputs": [[1, [2]], ["a"]], "outputs": [[3], "it's"]}),
        },
    ],
}
EXPECTED: dict[str, list[Any]] = {  # ground truths
    "dapo-math-17k": ["34", "34"],  # the third repeats the first
    "aime24": ["204"],
    "aime25": ["70"],
    "amc23": ["27.0"],
    "math500": ["\\left( 3, \\frac{\\pi}{2} \\right)"],
    "minerva": ["4.5e33"],
    "olympiadbench": ["2, \\frac{1}{2}"],
    "livecodebench": [
        Tests(("abc\n", "cab\n"), ("YES\n", "NO\n")),
        Tests(("1\n2", "3\n4"), ("3", "7"), fn_name="add"),
    ],
    "codeforces": [Tests(("1 2\n",), ("3\n",))],
    "humaneval-plus": [
        Tests(
            assert_case=("def check(candidate):\n    assert candidate(2) == 4\n\n\ncheck(f)",),
            inputs=("",),
            outputs=("",),
            prefix="from typing import List\n\n\ndef f(x: int) -> int:\n    '''Double.'''\n",
        )
    ],
    "deepcoder": [
        Tests(("1\n",), ("2\n",)),
        Tests(("1\n",), ("2\n",)),
        Tests(("1\n[2]", '"a"'), ("3", '"it\'s"'), fn_name="add"),
    ],
}


def source_file(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "source.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def made(name: str, folder: Path, rows: list[dict[str, Any]] | None = None, **options: Any) -> list[dict[str, Any]]:
    """Prepare without the check of the count, which the few rows here do not pass."""
    source = replace(SOURCES[name], rows=None)
    prepare(source, folder / "data", source_file(folder, ROWS[name] if rows is None else rows), **options)
    return pq.read_table(folder / "data" / f"{name}.parquet").to_pylist()


def test_every_source_is_tested() -> None:
    assert set(ROWS) == set(EXPECTED) == set(SOURCES)


@pytest.mark.parametrize("name", SOURCES)
def test_source(name: str, tmp_path: Path) -> None:
    rows = made(name, tmp_path)
    truths = [row["reward_model"]["ground_truth"] for row in rows]
    code = SOURCES[name].ability == "code"
    assert [Tests.from_json(truth) if code else truth for truth in truths] == EXPECTED[name]
    for index, row in enumerate(rows):
        assert row["data_source"] == name
        assert [message["role"] for message in row["prompt"]] == ["user"]
        assert row["extra_info"]["index"] == index
        assert row["extra_info"]["split"] == ("train" if SOURCES[name].train else "test")
    assert pq.read_schema(tmp_path / "data" / f"{name}.parquet").equals(SCHEMA)


def test_prompts_say_what_the_judge_wants(tmp_path: Path) -> None:
    assert made("dapo-math-17k", tmp_path)[0]["prompt"][0]["content"] == f"{DAPO_PROMPT} 1"
    assert "\\boxed{}" in made("aime24", tmp_path)[0]["prompt"][0]["content"]
    program, function = (row["prompt"][0]["content"] for row in made("livecodebench", tmp_path))
    assert "standard input" in program
    assert "```python\nclass Solution:" in function
    assert made("codeforces", tmp_path)[0]["extra_info"]["rating"] == 800
    program, _, function = (row["prompt"][0]["content"] for row in made("deepcoder", tmp_path))
    assert "standard input" in program
    assert "Write a Python function `add`" in function


def test_parquet_and_folders_are_read_too(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    for part in ("primeintellect", "taco", "lcbv5", "codeforces"):  # lcbv5 is LiveCodeBench, on which is tested
        (clone / part).mkdir(parents=True)
        split = "test" if part == "codeforces" else "train"
        table = pa.Table.from_pylist([{"problem": part, "tests": '[{"input": "1", "output": "2"}]'}])
        pq.write_table(table, clone / part / f"{split}-00000-of-00001.parquet")
    prepare(SOURCES["deepcoder"], tmp_path / "data", clone)
    prompts = [
        row["prompt"][0]["content"] for row in pq.read_table(tmp_path / "data" / "deepcoder.parquet").to_pylist()
    ]
    assert [prompt.split("\n")[0] for prompt in prompts] == ["primeintellect", "taco"]


@pytest.mark.parametrize(
    ("name", "change", "named"),
    [
        ("aime24", {"answer": None}, "row 1: field 'answer': math reward: ground_truth must be the right answer"),
        ("aime24", {"answer": ["1", "2"]}, "row 1: field 'answer': math reward: ground_truth must be the right answer"),
        ("dapo-math-17k", {"reward_model": {"ground_truth": {}}}, "row 1: field 'ground_truth': math reward:"),
        ("aime24", {"problem": " "}, "row 1: field 'problem' must be a str with content"),
        ("dapo-math-17k", {"prompt": []}, "row 1: field 'prompt' must be one message"),
        ("olympiadbench", {"final_answer": [""]}, "row 1: field 'final_answer'"),
        ("livecodebench", {"public_test_cases": "nonsense"}, "row 1: field 'public_test_cases' is not JSON"),
        ("livecodebench", {"private_test_cases": "nonsense"}, "row 1: field 'private_test_cases' cannot be unpacked"),
        ("deepcoder", {"tests": "[]"}, "row 1: the row has no tests"),
        ("deepcoder", {"tests": '[{"input": "1"}]'}, "row 1: a test is malformed: KeyError 'output'"),
        (
            "deepcoder",
            {"tests": '[{"input": "no JSON", "output": "1", "fn_name": "f"}]'},
            "row 1: a test is malformed: JSONDecodeError",
        ),
    ],
)
def test_schema_error_names_row_and_field(name: str, change: dict[str, Any], named: str, tmp_path: Path) -> None:
    good = ROWS[name][0]
    with pytest.raises(DataError, match=re.escape(f"{name}: {named}")):
        made(name, tmp_path, [good, good | change])
    assert list((tmp_path / "data").iterdir()) == []


@pytest.mark.parametrize("gold", [34, ["34"], [34], {"question": "Q", "target": "34"}])
def test_answer_that_is_no_text_is_read(gold: object, tmp_path: Path) -> None:
    for name, change in (("aime24", {"answer": gold}), ("dapo-math-17k", {"reward_model": {"ground_truth": gold}})):
        (tmp_path / name).mkdir()
        (row,) = made(name, tmp_path / name, [ROWS[name][0] | change])
        assert row["reward_model"]["ground_truth"] == "34"


def test_missing_field_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"aime24: row 0: field 'problem' is missing, the row has \['answer', 'question'\]"
    ):
        made("aime24", tmp_path, [{"question": "Q", "answer": "1"}])


class Attack:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch pickled_attack",)


def test_pickle_in_the_data_cannot_run_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    attack = base64.b64encode(zlib.compress(pickle.dumps(Attack()))).decode()
    with pytest.raises(DataError, match=r"wants to import posix\.system"):
        made("livecodebench", tmp_path, [lcb(private_test_cases=attack)])
    assert not (tmp_path / "pickled_attack").exists()


def test_count_and_checksum_are_verified(tmp_path: Path) -> None:
    rows = source_file(tmp_path, ROWS["aime24"])
    with pytest.raises(DataError, match="1 problems, 30 expected"):
        prepare(SOURCES["aime24"], tmp_path, rows)
    with pytest.raises(DataError, match=r"sha256 [0-9a-f]{64}, 00 expected"):
        prepare(replace(SOURCES["aime24"], rows=1, sha256="00"), tmp_path, rows)
    assert not (tmp_path / "aime24.parquet").exists()
    assert "1 problems" in prepare(SOURCES["aime24"], tmp_path, rows, limit=1)


def test_finished_file_is_left_alone_and_a_damaged_one_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, rows = replace(SOURCES["aime25"], rows=None), source_file(tmp_path, ROWS["aime25"])
    first = prepare(source, tmp_path, rows)
    target = tmp_path / "aime25.parquet"
    content = target.read_bytes()
    assert "there already" in prepare(source, tmp_path, rows)
    target.write_bytes(content[:-1])
    assert prepare(source, tmp_path, rows) == first
    assert target.read_bytes() == content
    rows.write_text(json.dumps(ROWS["aime25"][0] | {"answer": "71"}))
    assert "there already" not in prepare(source, tmp_path, rows)
    assert "there already" not in prepare(replace(source, configs=("other",)), tmp_path, rows)
    (tmp_path / "convert.py").write_text("# another version")
    monkeypatch.setattr(convert, "__file__", str(tmp_path / "convert.py"))
    assert "there already" not in prepare(replace(source, configs=("other",)), tmp_path, rows)
    assert json.loads((tmp_path / "aime25.json").read_text())["rows"] == 1


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    offline = os.environ | {"HF_HUB_OFFLINE": "1"}
    run = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(run, capture_output=True, text=True, check=False, env=offline)


def test_command_line(tmp_path: Path) -> None:
    listed = command("--list").stdout
    assert all(name in listed and source.hub in listed for name, source in SOURCES.items())
    wrong = command("aime", "--out", str(tmp_path))
    assert (wrong.returncode, "unknown name 'aime'" in wrong.stderr) == (2, True)
    away = command("aime24", "--out", str(tmp_path))
    assert away.returncode == 1
    assert "--from FILE_OR_FOLDER" in away.stderr.splitlines()[-1]
    assert not list(tmp_path.iterdir())


def test_verls_dataset_reads_several_files_together(tmp_path: Path) -> None:
    from hydra import compose, initialize_config_module
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast
    from verl.utils.dataset.rl_dataset import RLHFDataset

    names = ("aime24", "codeforces", "dapo-math-17k")
    counts = [len(made(name, tmp_path)) for name in names]
    words = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="?", pad_token="?", eos_token="?")
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    with initialize_config_module("verl.trainer.config", version_base=None):
        config = compose("ppo_trainer", overrides=["data.filter_overlong_prompts=True"]).data
    files = [str(tmp_path / "data" / f"{name}.parquet") for name in names]
    dataset = RLHFDataset(files, tokenizer, config)
    assert len(dataset) == sum(counts)
    rows = [dataset[index] for index in range(len(dataset))]
    assert [row["data_source"] for row in rows] == [n for n, c in zip(names, counts, strict=True) for _ in range(c)]
    assert {row["extra_info"]["split"] for row in rows} == {"train", "test"}


def test_environments_are_made_by_the_same_command(tmp_path: Path) -> None:
    made = command("bfcl", "--limit", "1", "--out", str(tmp_path))
    assert made.returncode == 0, made.stderr
    for split in ("train", "test"):
        rows = pq.read_table(tmp_path / "bfcl" / f"{split}.parquet").to_pylist()
        assert [row["extra_info"]["split"] for row in rows] == [split] * 4  # a task number in each of the categories
    none = command("alfworld", "--from", str(tmp_path), "--out", str(tmp_path))
    assert none.returncode == 1
    assert none.stderr.startswith(f"error: no games in {tmp_path}")
    assert all(name in command("--list").stdout for name in ENVIRONMENTS)


def test_files_of_the_hub_are_those_that_were_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The download is stood in for: it hands out a local file."""
    source = SOURCES["math500"]
    file = tmp_path / "test.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS["math500"]))
    asked = []

    def download(*arguments: str, **options: str) -> str:
        asked.append((*arguments, options))
        return str(file)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    with pytest.raises(DataError, match=r"math500: .*test\.jsonl has sha256 [0-9a-f]{64}, 35dc41"):
        prepare(source, tmp_path / "data", limit=1)
    assert not (tmp_path / "data" / "math500.parquet").exists()
    content = hashlib.sha256(file.read_bytes()).hexdigest()
    prepare(replace(source, files={"test.jsonl": content}), tmp_path / "data", limit=1)
    assert asked[-1] == (source.hub, "test.jsonl", {"repo_type": "dataset", "revision": source.revision})
    note = json.loads((tmp_path / "data" / "math500.json").read_text())
    assert (note["revision"], note["rows"]) == (source.revision, 1)


def test_every_source_is_pinned() -> None:
    for source in SOURCES.values():
        assert re.fullmatch("[0-9a-f]{40}", source.revision)
        assert all(re.fullmatch("[0-9a-f]{64}", checksum) for checksum in source.files.values())
