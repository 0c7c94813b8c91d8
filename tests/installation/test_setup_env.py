# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""``scripts/setup_env.sh`` on machines of stand-ins: what it installs, and one line for what goes wrong."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.installation.stand_ins import ROOT, Machine, add_command, add_nvidia_smi

STACK = "install verl[vllm]>=0.9.1,<0.10"
FLASH = "install --no-build-isolation flash-attn==2.8.3"


def error(done: subprocess.CompletedProcess[str]) -> str:
    """The one line with which a run ended."""
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, done.stderr
    return lines[0]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def gpu_machine(machine: Machine) -> Machine:
    add_nvidia_smi(machine.commands)
    return machine


# -- what is installed -----------------------------------------------------------------------------------------------


def test_without_a_gpu_pytorch_comes_first_and_the_next_run_installs_nothing(machine: Machine) -> None:
    done = machine.run("setup_for_device test; echo $PYTHON")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, f"{machine.venv}/bin/python")
    expected = ["install torch==2.13.0+cpu", f"install -e {ROOT}[cpu,test]", "install --no-deps bfcl-eval==2026.3.23"]
    assert machine.pip_commands() == expected
    assert machine.run("setup_for_device test").stdout == ""
    assert machine.pip_commands() == expected


def test_with_a_gpu_verls_stack_then_flash_attn_then_the_package(gpu_machine: Machine) -> None:
    done = gpu_machine.run("setup_for_device")
    assert done.returncode == 0, done.stderr
    build = "install setuptools wheel packaging psutil ninja"
    assert gpu_machine.pip_commands()[:3] == [STACK, build, FLASH]
    assert gpu_machine.pip_commands()[-1] == f"install -e {ROOT}[gpu]"


def test_flash_attn_that_is_there_is_left_alone(gpu_machine: Machine) -> None:
    (gpu_machine.venv / "flash-attn").touch()
    done = gpu_machine.run("setup_for_device")
    assert gpu_machine.pip_commands() == [STACK, f"install -e {ROOT}[gpu]"]
    assert "without flash-attn" not in done.stdout


def test_a_prebuilt_flash_attn_is_taken(gpu_machine: Machine) -> None:
    gpu_machine.run("setup_for_device", FLASH_ATTN_WHEEL="/a/flash_attn.whl")
    assert "install --no-build-isolation /a/flash_attn.whl" in gpu_machine.pip_commands()


def test_without_flash_attn_the_installation_goes_on_and_says_which_settings_hold(gpu_machine: Machine) -> None:
    gpu_machine.fail({"flash-attn==": "OSError: CUDA_HOME environment variable is not set.\\nERROR: Failed to build"})
    done = gpu_machine.run("setup_for_device")
    assert done.returncode == 0
    assert "without flash-attn (OSError: CUDA_HOME environment variable is not set.; see " in done.stdout
    assert "attn_implementation=sdpa" in done.stdout
    assert gpu_machine.pip_commands()[-2:] == ["uninstall --yes flash-attn", f"install -e {ROOT}[gpu]"]


# -- which device ----------------------------------------------------------------------------------------------------


def test_device_cpu_hides_the_gpu(gpu_machine: Machine) -> None:
    done = gpu_machine.run("setup_for_device; echo visible=${CUDA_VISIBLE_DEVICES-all}", DEVICE="cpu")
    assert done.stdout.splitlines()[-1] == "visible="
    assert f"install -e {ROOT}[cpu]" in gpu_machine.pip_commands()


def test_another_device_is_refused(machine: Machine) -> None:
    assert "DEVICE=gpu: set it to cpu" in error(machine.run("setup_for_device", DEVICE="gpu"))


def test_an_nvidia_smi_without_a_gpu_is_told_and_the_cpu_used(machine: Machine) -> None:
    add_nvidia_smi(machine.commands, listed="NVIDIA-SMI has failed because it could not communicate with the driver.")
    done = machine.run("setup_for_device")
    assert done.stderr.startswith("setup: going on without a GPU: nvidia-smi says: NVIDIA-SMI has failed")
    assert f"install -e {ROOT}[cpu]" in machine.pip_commands()


@pytest.mark.parametrize(("cuda", "old"), [("12.2", True), ("13.0", False), ("13.2", False), ("N/A", False)])
def test_a_driver_that_is_too_old_ends_before_the_download(machine: Machine, cuda: str, old: bool) -> None:
    add_nvidia_smi(machine.commands, cuda)
    done = machine.run("setup_for_device")
    assert bool(machine.pip_commands()) != old
    if old:
        assert error(done) == (
            "error: the NVIDIA driver supports CUDA 12.2, and PyTorch needs 13.0: update it to 580 or newer, "
            "or run on the CPU with DEVICE=cpu"
        )


def test_a_gpu_that_pytorch_cannot_use_is_told_each_time(gpu_machine: Machine) -> None:
    (gpu_machine.venv / "cuda").write_text("PyTorch 2.11.0 cannot use it: Found no NVIDIA driver on your system")
    for _ in range(2):
        assert error(gpu_machine.run("setup_for_device")) == (
            "error: nvidia-smi shows a GPU, but PyTorch 2.11.0 cannot use it: Found no NVIDIA driver on your system; "
            "mend the driver, or run on the CPU with DEVICE=cpu"
        )
    assert gpu_machine.pip_commands().count(STACK) == 1


# -- what goes wrong -------------------------------------------------------------------------------------------------

FULL = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"
OFFLINE = (
    "WARNING: Retrying after connection broken by 'NewConnectionError(Failed to establish a new connection)'\\n"
    "ERROR: No matching distribution found for torch==2.13.0+cpu"
)
BUILD = (
    "  Getting requirements to build wheel: finished with status 'error'\\n  error: subprocess-exited-with-error\\n"
    "      ModuleNotFoundError: No module named 'torch'\\nERROR: Failed to build 'x'"
)


@pytest.mark.parametrize(
    ("output", "cause"),
    [
        (FULL, "the disk is full (df -h shows which; "),
        (OFFLINE, "the package index cannot be reached: look at the network, "),
        (BUILD, "ModuleNotFoundError: No module named 'torch' (see "),
        ("ERROR: No matching distribution found for x", "ERROR: No matching distribution found for x (see "),
        ("Killed", "Killed (see "),
    ],
)
def test_a_failed_phase_says_why_and_is_done_again(machine: Machine, output: str, cause: str) -> None:
    machine.fail({"install -e": output})
    assert f"error: installing verl_resrl[cpu] failed: {cause}" in error(machine.run("setup_for_device"))
    assert not (machine.venv / "verl_resrl_setup.stamps").exists()
    machine.fail({})
    assert machine.run("setup_for_device").returncode == 0
    assert machine.pip_commands().count(f"install -e {ROOT}[cpu]") == 2


def test_a_failed_stack_for_gpus_says_why(gpu_machine: Machine) -> None:
    gpu_machine.fail({"verl[vllm]": FULL})
    assert "installing verl's stack for GPUs failed: the disk is full" in error(gpu_machine.run("setup_for_device"))


def test_what_a_failed_installation_may_have_changed_is_not_taken_for_whole(machine: Machine) -> None:
    assert machine.run("setup_for_device").returncode == 0
    machine.fail({"bfcl-eval": "ERROR: no"})
    error(machine.run("setup_for_device test"))
    machine.run("setup_for_device")
    assert machine.pip_commands().count(f"install -e {ROOT}[cpu]") == 2


def test_an_environment_of_another_clone_is_installed_anew(machine: Machine, tmp_path: Path) -> None:
    """The installation is editable: the environment has the sources of one clone."""
    machine.run("setup_for_device")
    other = tmp_path / "other"
    shutil.copytree(ROOT / "scripts", other / "scripts")
    shutil.copy(ROOT / "setup.py", other)
    shutil.copy(ROOT / "requirements-gpu.txt", other)
    machine.run(f"source {other}/scripts/setup_env.sh; setup_for_device")
    assert machine.pip_commands()[-1] == f"install -e {other}[cpu]"
    machine.run("setup_for_device")
    assert machine.pip_commands()[-1] == f"install -e {ROOT}[cpu]"


def test_what_is_there_already_needs_no_room(machine: Machine) -> None:
    add_command(machine.commands, "df", "#!/bin/sh\necho head; echo /dev/sda 100 50 2097152 50% /\n")
    add_command(machine.commands, "du", f"#!/bin/sh\necho 2200000 {machine.venv}\n")
    assert machine.run("setup_for_device").returncode == 0


def test_a_second_installation_waits_for_the_first(machine: Machine) -> None:
    lock = Path(machine.run(f"setup_lock {machine.venv}").stdout.strip())
    lock.mkdir()
    (lock / "pid").write_text(str(os.getpid()))
    told = f'echo() {{ builtin echo "$@"; [[ $* != *waiting* ]] || touch {lock}/told; }}'
    done = machine.run(f"{told}; setup_for_device & until [[ -e {lock}/told ]]; do sleep 0.1; done; rm -r {lock}; wait")
    assert f"setup: waiting for another installation (process {os.getpid()}; " in done.stdout
    assert f"install -e {ROOT}[cpu]" in machine.pip_commands()
    assert not lock.exists()


def test_an_installation_that_was_killed_is_not_waited_for(machine: Machine) -> None:
    lock = Path(machine.run(f"setup_lock {machine.venv}").stdout.strip())
    lock.mkdir()
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    (lock / "pid").write_text(str(gone.pid))
    assert "waiting" not in machine.run("setup_for_device").stdout
    assert f"install -e {ROOT}[cpu]" in machine.pip_commands()


def test_a_folder_that_is_relative_is_that_of_the_caller(machine: Machine, tmp_path: Path) -> None:
    done = machine.run(f"cd {tmp_path}; setup_for_device; echo $PYTHON", VENV="venv")
    assert done.stdout.splitlines()[-1] == f"{tmp_path}/venv/bin/python"


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_a_gpu_that_is_hidden_is_not_wanted(gpu_machine: Machine, hidden: str) -> None:
    gpu_machine.run("setup_for_device", CUDA_VISIBLE_DEVICES=hidden)
    assert gpu_machine.pip_commands()[-1] == f"install -e {ROOT}[cpu]"


def test_too_little_room_is_told_before_anything_is_made(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    add_command(machine.commands, "df", "#!/bin/sh\necho head; echo /dev/sda 100 50 2097152 50% /\n")
    done = machine.run("setup_for_device", VENV=str(tmp_path / "new" / "venv"))
    assert f"2 GB free for {tmp_path}/new/venv, and the installation takes " in error(done)
    assert not (tmp_path / "new").exists()


def test_an_old_pip_is_replaced_in_our_environment_but_not_in_an_active_one(machine: Machine) -> None:
    (machine.venv / "pip-version").write_text("20.3.4")
    done = machine.run("setup_for_device", VIRTUAL_ENV=str(machine.venv))
    advice = f"{machine.venv}/bin/python -m pip install --upgrade pip"
    assert error(done) == f"error: pip 20.3.4 in the active environment {machine.venv} is too old: {advice}"
    assert machine.pip_commands() == []
    assert machine.run("setup_for_device").returncode == 0
    assert machine.pip_commands()[0] == "install --upgrade pip"


@pytest.mark.parametrize("found", ["2.13.0+cu130", "2.11.0+cpu"])
def test_another_pytorch_stays_and_ends_an_installation_for_gpus(gpu_machine: Machine, found: str) -> None:
    (gpu_machine.venv / "torch-version").write_text(found)
    line = error(gpu_machine.run("setup_for_device", VIRTUAL_ENV=str(gpu_machine.venv)))
    assert f"has PyTorch {found}, and 2.11.0 with CUDA, which verl pins, is needed: set VENV to a new folder" in line
    assert "deactivate" in line
    assert gpu_machine.pip_commands() == []


def test_a_pytorch_that_is_too_old_ends_an_installation_for_the_cpu(machine: Machine) -> None:
    (machine.venv / "torch-version").write_text("2.5.1")
    assert "has PyTorch 2.5.1, and 2.6 or newer, is needed" in error(machine.run("setup_for_device"))
    (machine.venv / "torch-version").write_text("2.11.0+cu130")
    assert machine.run("setup_for_device").returncode == 0


def test_an_active_environment_without_pip_is_named(machine: Machine, tmp_path: Path) -> None:
    line = error(machine.run("setup_for_device", VIRTUAL_ENV=str(tmp_path / "none")))
    assert line.endswith("has no Python with pip: python -m ensurepip, or uv pip install pip")


def test_a_python_that_is_not_there_is_named(machine: Machine, tmp_path: Path) -> None:
    done = machine.run("setup_for_device", VENV=str(tmp_path / "new"), PYTHON_VERSION="3.14")
    assert error(done).startswith("error: no Python 3.14 found")
