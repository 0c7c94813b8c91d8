# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""What ``resrl doctor`` says of the stack: its versions, the GPU, attention."""

import importlib.metadata
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from tests.doctor.test_doctor import problem
from tests.installation.stand_ins import add_command, add_nvidia_smi
from verl_resrl.doctor import gpu, stack, versions
from verl_resrl.doctor.finding import NotHere

REQUIRED = [
    "numpy",
    *(f'{pin} ; extra == "tested-cpu"' for pin in ("torch==2.13.0", "numpy==2.4.6")),
    *(f'{pin} ; extra == "tested-gpu"' for pin in ("torch==2.11.0", "numpy==2.3.5", "ray[default]==2.60.0")),
]


def installed(monkeypatch: pytest.MonkeyPatch, cuda: str | None, **versions: str) -> None:
    """Pretend that these are the installed packages."""

    def version(name: str) -> str:
        if name not in versions:
            raise importlib.metadata.PackageNotFoundError
        return versions[name]

    monkeypatch.setattr(importlib.metadata, "requires", lambda name: REQUIRED)
    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(torch.version, "cuda", cuda)


def test_a_tested_stack_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "13.0", torch="2.11.0+cu130", numpy="2.3.5", vllm="0.24.0")
    assert stack.check_stack() == "for GPUs: PyTorch 2.11.0+cu130, vLLM 0.24.0; every version was tested"


def test_versions_that_were_never_tested_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "12.8", torch="2.9.1+cu128", numpy="2.3.5", ray="2.60.1")
    found = "for GPUs: PyTorch 2.9.1+cu128; never tested: torch 2.9.1+cu128 (2.11.0 was), ray 2.60.1 (2.60.0 was)"
    assert stack.check_stack() == found
    installed(monkeypatch, None, torch="2.13.0+cpu", numpy="2.3.5")
    assert stack.check_stack() == "for CPUs: PyTorch 2.13.0+cpu; never tested: numpy 2.3.5 (2.4.6 was)"


@pytest.mark.parametrize(("kind", "file"), [("cpu", "requirements.txt"), ("gpu", "requirements-gpu.txt")])
def test_the_tested_versions_are_those_of_the_requirements(kind: str, file: str) -> None:
    lines = (Path(__file__).parents[2] / file).read_text().splitlines()
    pins = dict(line.replace("[default]", "").split("==") for line in lines if not line.startswith("#"))
    assert stack.tested_versions(kind) == pins


def test_triton_counts_where_a_gpu_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "3.6.0")
    assert versions.check_triton() == "3.6.0"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(NotHere, match="no GPU"):
        versions.check_triton()


def test_attention_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(NotHere, match="no GPU"):
        stack.check_attention()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setitem(sys.modules, "flash_attn", None)
    assert stack.check_attention().startswith("sdpa: flash-attn cannot be imported (ModuleNotFoundError; ")
    monkeypatch.setitem(sys.modules, "flash_attn", ModuleType("flash_attn"))
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.8.3")
    assert stack.check_attention() == "flash-attn 2.8.3"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this GPU can be used")
def test_a_gpu_that_pytorch_cannot_use_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    add_command(tmp_path, "nvidia-smi", "#!/bin/sh\necho No devices were found\n")
    with pytest.raises(NotHere, match="torch sees none"):
        gpu.check_gpu()
    add_nvidia_smi(tmp_path)
    found, advice = problem(gpu.check_gpu)
    assert found.startswith(f"nvidia-smi shows GPU 0: NVIDIA H100 80GB HBM3, but PyTorch {torch.__version__} cannot ")
    assert "+device=cpu" in advice
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(NotHere, match="hidden by CUDA_VISIBLE_DEVICES=:"):
        gpu.check_gpu()


def test_a_gpu_that_torch_sees_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "NVIDIA H100 80GB HBM3")
    assert gpu.check_gpu() == "8 x NVIDIA H100 80GB HBM3"
