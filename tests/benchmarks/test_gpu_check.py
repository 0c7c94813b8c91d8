# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The one command for a machine with a GPU: what it says where there is none, and where packages are missing."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("gpu_check", ROOT / "scripts" / "gpu_check.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "gpu_check", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "RESULTS", tmp_path)
    monkeypatch.setattr(module, "gpu_obstacle", lambda: "needs an NVIDIA GPU, and torch sees none")
    monkeypatch.setattr(sys, "argv", ["gpu_check.py"])
    return module


def test_every_stage_says_what_it_skips(check: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main() == 0
    results = json.loads((tmp_path / "gpu_check.json").read_text())
    assert [result["stage"] for result in results] == [stage.name for stage in check.STAGES]
    assert {result["result"] for result in results} == {"skipped: needs an NVIDIA GPU, and torch sees none"}
    assert "not measured" in capsys.readouterr().out


def test_a_missing_package_is_named(check: ModuleType) -> None:
    stage = check.Stage("kernel", ("-c", "import torch"), ("torch", "no_such_package"), 10)
    assert check.run(stage, None).result == "skipped: needs no_such_package"


def test_a_stage_that_fails_or_takes_too_long_is_told_apart(check: ModuleType) -> None:
    assert check.run(check.Stage("a", ("-c", "print('x')"), (), 30), None).result == "passed"
    failed = check.run(check.Stage("b", ("-c", "raise ValueError('what is wrong')"), (), 30), None)
    assert failed.result == "failed with exit code 1"
    assert failed.last_line == "ValueError: what is wrong"
    slow = check.Stage("c", ("-c", "import time; print('begun'); time.sleep(60)"), (), 1)
    assert check.run(slow, None).result == "stopped at its limit"
    assert (check.RESULTS / "gpu_check_c.txt").read_text() == "begun\n"


def test_the_limits_add_up_to_eight_minutes(check: ModuleType) -> None:
    assert sum(stage.limit for stage in check.STAGES) <= 8 * 60


def test_every_file_with_tests_for_a_gpu_is_run(check: ModuleType) -> None:
    files = {path for path in (ROOT / "tests").rglob("test_*.py") if "mark.gpu" in path.read_text(encoding="utf-8")}
    assert {str(path.relative_to(ROOT)) for path in files} - {"tests/benchmarks/test_gpu_check.py"} == set(check.TESTS)


def test_the_training_has_what_a_gpu_needs_and_a_folder_of_its_own(
    check: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "examples" / "quickstart"))
    from settings import Settings
    from training import verl_command

    assert "vllm" in check.TRAINER.needs  # verl has no other rollout there
    settings = Settings.from_environment(check.TRAINER_SETTINGS)
    assert settings.out != Settings.from_environment({}).out
    command = verl_command("resrl", settings, "model", [], [], tmp_path, gpu=True)
    assert [argument for argument in command if "rollout.name=" in argument] == ["actor_rollout_ref.rollout.name=vllm"]


def test_help_names_the_stages() -> None:
    command = ["bash", str(ROOT / "scripts" / "gpu_check.sh"), "--help"]
    output = subprocess.run(
        command, capture_output=True, text=True, check=True, env={"PATH": "/usr/bin:/bin", "PYTHON": sys.executable}
    )
    assert "kernel 60, tests 130" in output.stdout
