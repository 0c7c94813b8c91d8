# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Which models of a run are evaluated."""

import shutil
from pathlib import Path

import pytest

from tests.evaluation.evaluations import call
from verl_resrl.evaluation.models import checkpoints_of_run
from verl_resrl.evaluation.settings import EvaluationError


def test_checkpoints_of_a_run(tmp_path: Path) -> None:
    for step in (5, 10, 20):
        (tmp_path / "checkpoints" / f"global_step_{step}" / "actor" / "huggingface").mkdir(parents=True)
    (tmp_path / "checkpoints" / "global_step_1").mkdir()  # verl has removed what was in it
    names = [target.name.split("/")[1] for target in checkpoints_of_run(tmp_path)]
    assert names == ["step_5", "step_10", "step_20"]
    (tmp_path / "checkpoints" / "latest_checkpointed_iteration.txt").write_text("10")  # 20 is being written
    target = checkpoints_of_run(tmp_path, [10])[0]
    assert target.folder == tmp_path / "evaluations" / "step_10"
    assert target.model == str(tmp_path / "checkpoints" / "global_step_10" / "actor" / "huggingface")
    (of_benchmark,) = checkpoints_of_run(tmp_path, [10], benchmark="aime24")
    assert of_benchmark.folder == tmp_path / "benchmarks" / "aime24" / "step_10"
    with pytest.raises(EvaluationError, match=r"step 20 of .* has no whole checkpoint \(it has: 5, 10\)"):
        checkpoints_of_run(tmp_path, [5, 20])
    with pytest.raises(EvaluationError, match="has no folder 'checkpoints'"):
        checkpoints_of_run(tmp_path / "checkpoints")


def test_a_checkpoint_without_weights_says_how_to_get_them(task: Path, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints" / "global_step_1" / "actor" / "huggingface"
    folder.mkdir(parents=True)
    shutil.copy(task / "model" / "config.json", folder)
    code, _, stderr = call("eval", "--run", str(tmp_path), "--data", str(task / "data.parquet"))
    assert code == 1
    assert "has no weights" in stderr
    assert "hf_model" in stderr
