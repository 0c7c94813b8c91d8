# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""A reward function that raises on some prompts must not thin the batches in silence."""

from pathlib import Path

import pytest

from tests.training.trainer import PROMPTS, RESPONSES, make_task, run

pytestmark = [pytest.mark.e2e, pytest.mark.long]
# half of the prompts; and a score that is no number on a quarter of them
FAILING = """
def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    if extra_info["index"] % 2:
        raise KeyError("no such unit")
    score = "right" if extra_info["index"] % 4 else float(solution_str.count("7") > 1)
    return {"score": score, "gave_up": float(extra_info["index"] == 4)}
"""


def test_failed_rewards_are_counted_or_stop_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = make_task(tmp_path)
    (task / "reward.py").write_text(FAILING)
    steps = run("resrl", task, tmp_path / "run", monkeypatch, "resrl.rank=4", "resrl.on_failure=fallback")
    failures = [step["actor/resrl/reward_failures"] for step in steps]
    assert sum(failures) == len(steps) * PROMPTS * RESPONSES * 3 / 4
    assert sum(step["actor/resrl/rewards_given_up"] for step in steps) == RESPONSES
    with pytest.raises(Exception, match=r"ResRL: \d+ responses of step 1 are missing"):
        run("resrl", task, tmp_path / "stopped", monkeypatch, "resrl.rank=4")
