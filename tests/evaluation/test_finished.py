# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""What an evaluation has left is read as it was meant."""

from pathlib import Path

import pytest

from tests.evaluation.evaluations import call, row, samples_in, write_rows
from tests.integration.engines import save_model
from verl_resrl.evaluation.finished import read_finished
from verl_resrl.evaluation.settings import EvaluationError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished evaluation of four of six problems: one prompt is too long, and the limit leaves one out."""
    folder = tmp_path_factory.mktemp("finished")
    save_model("Llama", folder / "model")
    (folder / "reward.py").write_text("def compute_score(*_, **__):\n    return 1.0\n")
    rows = [row(number) for number in range(6)]
    rows[1]["prompt"] = [{"role": "user", "content": " ".join(["t9"] * 20)}]
    write_rows(folder / "data.parquet", *rows)
    settings = {"model": "model", "data": "data.parquet", "out": "out", "reward-file": "reward.py"}
    options = [text for name, value in settings.items() for text in (f"--{name}", str(folder / value))]
    numbers = ["--n", "3", "--limit", "4", "--max-tokens", "4", "--max-prompt-tokens", "18", "--backend", "hf"]
    assert call("eval", *options, *numbers)[0] == 0
    return folder / "out"


def test_problems_have_the_numbers_of_the_samples(folder: Path) -> None:
    finished = read_finished(folder)
    assert [problem.row for problem in finished.problems] == [row(number) for number in (0, 2, 3, 4)]
    assert finished.settings.n == 3
    assert [(one.problem, one.sample) for one in finished.samples] == [(i, j) for i in range(4) for j in range(3)]
    assert all(one.prompt == finished.problems[one.problem].prompt for one in finished.samples)
    assert len(samples_in(folder)) == 12
    groups = finished.groups(2)
    assert sorted(groups) == [0, 1, 2, 3]
    assert all([one.sample for one in group] == [0, 1] for group in groups.values())


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("summary.json", None, "is not the folder of a finished evaluation"),
        ("settings.json", None, "is not as resrl eval leaves it"),
        ("settings.json", "[]", "is not as resrl eval leaves it"),
        ("settings.json", '{"fingerprints": 0, "data": [], "k": [], "colour": 1}', "is not as resrl eval leaves it"),
        ("samples.jsonl", "{}\n", "is not as resrl eval leaves it"),
        ("samples.jsonl", "{", "is not as resrl eval leaves it"),
    ],
)
def test_a_folder_that_is_not_one_is_named(
    folder: Path, tmp_path: Path, name: str, text: str | None, message: str
) -> None:
    for file in ("settings.json", "samples.jsonl", "summary.json"):
        (tmp_path / file).write_bytes((folder / file).read_bytes())
    if text is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_text(text)
    with pytest.raises(EvaluationError, match=message) as error:
        read_finished(tmp_path)
    assert str(error.value).startswith(str(tmp_path))
    assert "\n" not in str(error.value)
