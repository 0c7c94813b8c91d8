# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""A task for random models, and an evaluation on it that was never stopped."""

from pathlib import Path

import pytest

from tests.evaluation.evaluations import PROBLEMS, REWARD, arguments, call, row, write_rows
from tests.integration.engines import save_model


@pytest.fixture(scope="session")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model, problems of two sources, and a reward that some responses earn."""
    folder = tmp_path_factory.mktemp("task")
    save_model("Llama", folder / "model")
    (folder / "reward.py").write_text(REWARD)
    write_rows(folder / "data.parquet", *(row(i) for i in range(PROBLEMS)))
    return folder


@pytest.fixture(scope="session")
def evaluated(task: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an evaluation that was never stopped."""
    out = tmp_path_factory.mktemp("evaluated") / "out"
    code, stdout, _ = call(*arguments(task, out, "--token-weights", "2"))
    assert code == 0
    assert "Pass@4" in stdout
    return out
