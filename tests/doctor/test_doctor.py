# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""``resrl doctor``: on this installation, and on ones that are broken on purpose."""

import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner
from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY

from verl_resrl.algorithm.residual import reference
from verl_resrl.cli import app
from verl_resrl.doctor import checkup, computation, registration, versions
from verl_resrl.doctor.finding import Finding, NotHere, Problem
from verl_resrl.integration import registered


@pytest.fixture
def another_ray() -> Iterator[None]:
    """A Ray that somebody else has started on this machine, as a training beside us does."""
    program = (
        "import ray; ray.init(address='local', num_cpus=1, include_dashboard=False); print('up', flush=True); input()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", program], text=True, **pipes) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield
        process.stdin.write("\n")


@pytest.mark.long
@pytest.mark.usefixtures("another_ray")
def test_this_installation_is_sound() -> None:
    """The command as a user gives it, with a Ray worker."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("VERL_", "TRITON_"))}
    command = [sys.executable, "-m", "verl_resrl.cli", "doctor", "--json"]
    result = subprocess.run(command, env=clean, capture_output=True, text=True, check=False)
    findings = {finding["name"]: finding for finding in json.loads(result.stdout)}
    failed = {name: finding for name, finding in findings.items() if finding["ok"] is False}
    assert (result.returncode, failed) == (0, {})
    for name in (
        "verl",
        "plugin, this process",
        "config groups",
        "registries",
        "engine",
        "plugin, Ray worker",
        "weights",
    ):
        assert findings[name]["ok"] is True
    assert (findings["kernel"]["ok"] is None) != torch.cuda.is_available()
    assert findings["verl"]["detail"].startswith(importlib.metadata.version("verl"))


def problem(check: Callable[..., Any], *arguments: Any) -> tuple[str, str]:
    """What a check complains about, and its advice."""
    with pytest.raises(Problem) as error:
        check(*arguments)
    assert "\n" not in str(error.value) + error.value.advice
    return str(error.value), error.value.advice


def test_an_unsupported_version_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.10.0")
    assert problem(versions.check_package, "verl") == (
        "0.10.0, and <0.10,>=0.9.1 is supported",
        "pip install 'verl<0.10,>=0.9.1'",
    )


def test_a_missing_package_is_named() -> None:
    assert problem(versions.check_package, "no-such-package") == ("not installed", "pip install 'no-such-package'")


def test_a_missing_vllm_fails_only_beside_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("vllm") is None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        assert problem(versions.check_vllm)[0] == "not installed, and there is a GPU"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(NotHere, match="no GPU"):
        versions.check_vllm()


def test_a_policy_that_leaves_the_plugin_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERL_USE_EXTERNAL_PLUGINS", "none")
    detail, advice = problem(registration.check_plugin)
    assert detail == "VERL_USE_EXTERNAL_PLUGINS=none keeps verl from loading it"
    assert advice.startswith("unset VERL_USE_EXTERNAL_PLUGINS")


def test_a_plugin_that_did_not_load_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, registered.PLUGIN)
    assert problem(registration.check_plugin)[0] == "it could not be loaded"


def test_a_missing_entry_point_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration, "entry_points", lambda group: [])
    assert "entry point" in problem(registration.check_plugin)[0]


def test_a_name_that_verl_does_not_know_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    registration.check_registries()
    monkeypatch.delitem(ADV_ESTIMATOR_REGISTRY, "nsr")
    assert problem(registration.check_registries)[0] == "verl does not know nsr"


def test_a_switch_that_does_not_compose_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registered, "switches", lambda: [("method", "none")])
    detail, advice = problem(registration.check_config_groups)
    assert "+method=none does not compose: " in detail
    assert "hydra_plugins" in advice


def test_a_trainer_that_lacks_a_package_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "verl.trainer.ppo.v1", None)
    assert "pip install -e .[cpu]" in problem(registration.check_trainer)[1]


def test_wrong_weights_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    computation.check_weights()
    exact = computation._exact_residual(computation._states(computation.WIDTH, computation.RANK))
    monkeypatch.setattr(computation, "_exact_residual", lambda hidden: exact * 1.01)
    assert "differ from float64 by 9.9e-03" in problem(computation.check_weights)[0]
    exact[-1] = float("nan")
    assert "differ from float64 by nan" in problem(computation.check_weights)[0]


@pytest.mark.parametrize(("what", "number"), [("residuals", 0), ("alignments", 1)])
@pytest.mark.parametrize(("factor", "difference"), [(1.01, "1.0e-02"), (float("nan"), "nan")])
def test_a_wrong_kernel_is_noticed(
    monkeypatch: pytest.MonkeyPatch, what: str, number: int, factor: float, difference: str
) -> None:
    def wrong(*arguments: Any) -> tuple[Tensor, Tensor]:
        results = reference(*arguments[:4])
        results[number][-1] *= factor
        return results

    monkeypatch.setattr(computation, "residual_and_alignment", lambda *arguments: reference(*arguments[:4]))
    assert computation.compare_kernel(96, 8, "cpu") == 0
    monkeypatch.setattr(computation, "residual_and_alignment", wrong)
    found, _ = problem(computation.compare_kernel, 96, 8, "cpu")
    assert found == f"at hidden size 96 and rank 8 its {what} differ from torch's by {difference}"


def test_a_kernel_that_does_not_run_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("out of resource: shared memory\nmore")

    monkeypatch.setattr(computation, "residual_and_alignment", broken)
    found, advice = problem(computation.compare_kernel, 96, 8, "cpu")
    assert found == "at hidden size 96 and rank 8 it does not run: RuntimeError: out of resource: shared memory"
    assert "pip check" in advice


def test_the_kernel_is_checked_in_every_shape_that_it_is_launched_in() -> None:
    residual_triton = pytest.importorskip("verl_resrl.algorithm.residual_triton")
    checked = {residual_triton.launch_configs(max(16, rank), width) for width, rank in computation.KERNELS}
    ranks, widths = (16, 32, 64, 128), (64, 100, 256, 1000, 2560, 8192)
    assert checked == {residual_triton.launch_configs(rank, width) for rank in ranks for width in widths}


def test_a_vllm_that_cannot_be_imported_or_is_another_one_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.1.0")
    monkeypatch.setitem(sys.modules, "vllm", None)
    assert problem(versions.check_vllm)[0].startswith("0.1.0 cannot be imported (ModuleNotFoundError: ")
    monkeypatch.setitem(sys.modules, "vllm", ModuleType("vllm"))
    assert versions.check_vllm().startswith("0.1.0, and verl's own extra asks ==")


def test_one_broken_check_does_not_stop_the_others() -> None:
    finding = checkup._run("name", "no_such_module", "f")
    assert (finding.name, finding.ok) == ("name", False)
    assert finding.detail.startswith("ModuleNotFoundError: ")


def test_failures_end_with_advice_and_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Finding("a", True, "fine"), Finding("b", None, "not here"), Finding("c", False, "bad", "mend it")]
    monkeypatch.setattr(checkup, "checkup", lambda: iter(found))
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == "c: mend it"
    assert [line.split()[:2] for line in result.stdout.splitlines() if "fine" in line or "bad" in line] == [
        ["ok", "a"],
        ["FAILED", "c"],
    ]
    result = CliRunner().invoke(app, ["doctor", "--json"])
    assert result.exit_code == 1
    assert [finding["advice"] for finding in json.loads(result.stdout)] == ["", "", "mend it"]
