# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Responses in a picture: where tokens stand, on which colour, and where a response goes wrong."""

import json
from pathlib import Path

import pytest
import weights_picture
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle
from weights_picture import first_wrong_token

from tests.examples.finished import small_model_in, write_finished
from verl_resrl.evaluation.token_view import TOKENS_FILE
from verl_resrl.report.styles import WEIGHT_COLOURS
from verl_resrl.report.token_lines import Page
from verl_resrl.tasks import countdown, word_problems
from verl_resrl.tasks.countdown_data import generate_problems, write_parquet


def test_tokens_stand_in_lines_on_the_colours_of_their_weights() -> None:
    figure = plt.figure()
    page = Page(figure.add_axes((0, 0, 1, 1)), columns=20, lines=9, names=6)
    page.text("prompt", "words that take two lines")
    page.response("wrong", ["1234567", " 90", "\n", " abc", ""], [0.0, 0.5, 0.5, 0.9, 1.0], mark=3)
    page.skip()
    page.response("right", ["12"])
    (axes,) = figure.axes
    texts = {text.get_text(): text.get_position() for text in axes.texts}
    assert texts == {
        "prompt": (0, 0.5),
        "words that": (6, 0.5),
        "take two lines": (6, 1.5),
        "wrong": (0, 2.5),
        "1234567": (6, 2.5),
        " 90": (13, 2.5),
        "⏎": (16, 2.5),
        " abc": (6, 3.5),
        "■": (10, 3.5),
        "▲": (7, 4.5),
        "right": (0, 6.0),
        "12": (6, 6.0),
    }
    assert page.lines == 6.5
    boxes = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    assert [(box.get_x(), box.get_width()) for box in boxes] == [(6, 7), (13, 3), (16, 1), (6, 4), (10, 1)]
    assert [to_hex(box.get_facecolor()) for box in boxes] == [WEIGHT_COLOURS[i] for i in (0, 5, 5, 9, 9)]
    width = max(text.get_window_extent().width for text in axes.texts if text.get_text() == "1234567")
    assert width == pytest.approx(7 / 20 * figure.bbox.width, rel=0.03)  # as wide as its box
    plt.close(figure)


@pytest.mark.parametrize(
    ("source", "tokens", "truth", "expected"),
    [
        (word_problems.DATA_SOURCE, ["26", " -", " 19", " =", " 8", ".", ""], "26-19-2+17", 4),
        (word_problems.DATA_SOURCE, ["26", " -", " 19", " =", " 7", ".", ""], "26-19-2+17", 6),  # it ends too early
        (word_problems.DATA_SOURCE, ["26", " -", " 19", " =", " 7", "."], "26-19-2+17", None),  # it was cut off
        (word_problems.DATA_SOURCE, ["5", " +", " 3", " =", " 8", ". The", " answer", " is", " 8", ""], "5+3", None),
        (countdown.DATA_SOURCE, list("1+1=2"), "111>99", 0),
        ("gsm8k", ["1"], "2", None),
    ],
)
def test_the_first_wrong_token(source: str, tokens: list[str], truth: str, expected: int | None) -> None:
    assert first_wrong_token(tokens, source, truth) == expected


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    problems, _ = generate_problems(3, 0, seed=0)
    write_parquet(problems, "test", tmp_path / "data.parquet")
    model = small_model_in(tmp_path / "model")
    folder = write_finished(tmp_path / "evaluation", model, tmp_path / "data.parquet", {0: [("1", True), ("2", False)]})
    capsys.readouterr()  # of transformers
    monkeypatch.setattr("sys.argv", ["x", str(folder), "--out", str(tmp_path / "picture.png")])
    assert weights_picture.main() == 1
    assert capsys.readouterr().err == f"error: {folder} has no tokens.jsonl: evaluate with --token-weights\n"
    (folder / TOKENS_FILE).write_text("")
    assert weights_picture.main() == 1
    assert capsys.readouterr().err.endswith("tokens.jsonl is empty: no problem has right and wrong responses\n")
    weights = {"residual": [0.1, 0.9], "interference": [0.4, 0.5]}
    negative = {"tokens": ["1", "<|im_end|>"], "weights_by": weights}
    rows = [{"problem": number, "negative": negative, "positive": {"tokens": ["34"]}} for number in (0, 2)]
    (folder / TOKENS_FILE).write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert weights_picture.main() == 0
    assert capsys.readouterr().out == f"{tmp_path}/picture.png: problems 0, 2\n"
    assert (tmp_path / "picture.png").stat().st_size > 5000
