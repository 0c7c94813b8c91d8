# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The CodeForces rating of an evaluation, and its percentile among users as Codeforces' API lists them."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.evaluation.evaluations import call, row, write_rows
from tests.integration.engines import save_model
from verl_resrl.evaluation.problems import Problem
from verl_resrl.evaluation.rating import codeforces_summary, percentile, read_users
from verl_resrl.evaluation.samples import Sample
from verl_resrl.evaluation.settings import EvaluationError
from verl_resrl.tasks.benchmarks import codeforces_rating

REWARD = "def compute_score(data_source, solution_str, *_, **__):\n    return '7' in solution_str\n"
RATINGS = [1000, 1500, 2000]


def users(*ratings: int) -> str:
    return json.dumps({"status": "OK", "result": [{"handle": f"user{i}", "rating": r} for i, r in enumerate(ratings)]})


def test_evaluation_of_rated_problems_says_rating_and_percentile(tmp_path: Path) -> None:
    save_model("Llama", tmp_path / "model")
    (tmp_path / "reward.py").write_text(REWARD)
    (tmp_path / "users.json").write_text(users(0, 500, 3999, 4000))
    rows: list[dict[str, Any]] = [row(number) | {"extra_info": {"rating": r}} for number, r in enumerate(RATINGS)]
    rows = [one | {"data_source": "codeforces"} for one in rows]
    write_rows(tmp_path / "data.parquet", *rows)
    arguments = ["eval", "--model", str(tmp_path / "model"), "--data", str(tmp_path / "data.parquet"), "--n", "4"]
    arguments += ["--max-tokens", "8", "--out", str(tmp_path / "out"), "--reward-file", str(tmp_path / "reward.py")]
    code, output, errors = call(*arguments)
    assert code == 0, errors
    samples = [json.loads(line) for line in (tmp_path / "out" / "samples.jsonl").read_text().splitlines()]
    shares = [sum(s["correct"] for s in samples if s["problem"] == p) / 4 for p in range(3)]
    assert 0 < sum(shares) < 3
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())["codeforces"]
    assert summary == {"rating": pytest.approx(codeforces_rating(RATINGS, shares)), "num_problems": 3}
    code, output, _ = call(*arguments, "--codeforces-users", str(tmp_path / "users.json"))
    assert code == 0
    assert f"CodeForces rating {summary['rating']:.0f}, above 50.0% of 4 users" in output


def test_percentile_is_the_share_of_those_below() -> None:
    assert percentile(1500, [1499, 1500, 1501, 1400]) == 50.0


@pytest.mark.parametrize("content", ["not JSON", "[]", '{"result": [{"handle": "x"}]}', users()])
def test_a_file_that_is_not_of_the_api_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "users.json").write_text(content)
    with pytest.raises(EvaluationError, match=r"--codeforces-users .*users\.json: .*user\.ratedList"):
        read_users(tmp_path / "users.json")


def test_ratings_of_other_sources_are_none(tmp_path: Path) -> None:
    """A film's rating is no difficulty, and users are no use then: said before anything is sampled."""
    film = Problem("", [], row(0) | {"extra_info": {"rating": "for adults"}})
    sample = Sample(0, 0, "even", "", "", 1.0, True, None, 1, True)
    assert codeforces_summary([film], [sample], None) is None
    save_model("Llama", tmp_path / "model")
    (tmp_path / "users.json").write_text(users(1500))
    write_rows(tmp_path / "data.parquet", film.row)
    arguments = ["eval", "--model", str(tmp_path / "model"), "--data", str(tmp_path / "data.parquet"), "--n", "2"]
    arguments += ["--out", str(tmp_path / "out"), "--codeforces-users", str(tmp_path / "users.json")]
    code, _, errors = call(*arguments)
    assert code == 1
    assert errors == "error: --codeforces-users: none of these problems is one of Codeforces with a rating\n"
