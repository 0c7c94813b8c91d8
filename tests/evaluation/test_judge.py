# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Responses judged by a user's reward function, or by verl's."""

from pathlib import Path

import pytest

from tests.evaluation.evaluations import row
from verl_resrl.evaluation.judge import Judge
from verl_resrl.evaluation.settings import EvaluationError, named_file
from verl_resrl.tasks.countdown import answer_of


def judge_of(folder: Path, code: str, threshold: float = 0.0) -> Judge:
    (folder / "reward.py").write_text(code)
    return Judge(folder / "reward.py", threshold)


@pytest.mark.parametrize(
    ("code", "score", "answer"),
    [
        ("def compute_score(**k): return 0.5", 0.5, None),
        ("async def compute_score(**k): return True", 1.0, None),
        ("def compute_score(**k): return {'score': 2, 'pred': 7}", 2.0, "7"),
        ("def compute_score(**k): return {'score': 0, 'pred': None}", 0.0, None),
        ("def compute_score(**k): return {'score': 0, 'extracted': 'z'}", 0.0, "z"),
        ("def compute_score(**k): return {'score': 0, 'pred': ' '}", 0.0, None),  # an empty text is no answer
        ("def compute_score(**k): return {'score': 0, 'pred': 1}\ndef answer_of(t, g): return t[1] + g", 0.0, " g"),
    ],
)
def test_scores_and_answers(tmp_path: Path, code: str, score: float, answer: str | None) -> None:
    (verdict,) = judge_of(tmp_path, code).judge([row(0) | {"reward_model": {"ground_truth": "g"}}], ["a  b"])
    assert (verdict.score, verdict.correct, verdict.answer) == (score, score > 0, answer)


@pytest.mark.parametrize(
    "value", ["float('inf')", "-float('inf')", "float('nan')", "'1.0'", "None", "{'score': '1'}", "{}"]
)
def test_what_training_refuses_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(EvaluationError, match="the reward function must return a finite number or a dict with"):
        judge_of(tmp_path, f"def compute_score(**k): return {value}").judge([row(0)], [""])


def test_the_reward_function_gets_what_verl_gives_it(tmp_path: Path) -> None:
    code = "seen = []\ndef compute_score(data_source, solution_str, ground_truth, extra_info):\n"
    code += "    seen.append((data_source, solution_str, ground_truth, extra_info)); return 1"
    judge = judge_of(tmp_path, code)
    judge.judge([row(1)], ["text"])
    extra = {"index": 1, "num_turns": 2, "rollout_reward_scores": {}}
    assert judge._compute_score.__globals__["seen"] == [("odd", "text", "", extra)]


def test_threshold(tmp_path: Path) -> None:
    judge = judge_of(tmp_path, "def compute_score(**k): return 0.5", threshold=0.5)
    assert not judge.judge([row(0)], [""])[0].correct


def test_ground_truth_that_cannot_be_judged_by_is_refused_before_there_are_responses(tmp_path: Path) -> None:
    code = "def compute_score(**k): return 0.0\ndef check_ground_truth(gold):\n"
    judge = judge_of(tmp_path, code + "    if gold == [1, 2]: raise ValueError('no')")
    good, bad = ({"reward_model": {"ground_truth": gold}} for gold in ("1", [1, 2]))
    judge.check([good, good])
    with pytest.raises(EvaluationError, match="problem 1: no"):
        judge.check([good, bad])
    judge_of(tmp_path, "def compute_score(**k): return 0.0").check([bad])  # it does not say what it can judge by


def test_rewards_of_mathematics_and_code_say_what_they_can_judge_by() -> None:
    for name in ("math_reward", "code_reward"):
        with pytest.raises(EvaluationError, match=r"problem 0: .*ground_truth"):
            Judge(Path(named_file(f"pkg://verl_resrl.tasks.{name}"))).check(
                [{"reward_model": {"ground_truth": [1, 2]}}]
            )


def test_verls_own_reward_functions_are_the_default() -> None:
    gsm8k = {"data_source": "openai/gsm8k", "reward_model": {"ground_truth": "72"}}
    right, wrong = Judge(None).judge([gsm8k, gsm8k], ["so #### 72", "so #### 71"])
    assert (right.correct, wrong.correct) == (True, False)
    with pytest.raises(EvaluationError, match=r"not implemented for .*odd.*--reward-file"):
        Judge(None).judge([row(1)], [""])


def test_countdown_names_wrong_answers_too() -> None:
    assert answer_of("3*4=12", "34>12") == answer_of("4*3=12", "34>12") != answer_of("3+4=7", "34>12")
    assert answer_of("3+4=8", "34>12") is None


def test_reward_files_are_named_as_for_verl() -> None:
    import verl_resrl.tasks.countdown as countdown

    for name in (
        "pkg://verl_resrl.tasks.countdown",
        "pkg://verl_resrl/tasks/countdown",
        f"file://{countdown.__file__}",
    ):
        assert named_file(name) == countdown.__file__
