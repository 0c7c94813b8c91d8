# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The quickstart on a simulated machine with a GPU: nvidia-smi is a stand-in, the installation and PyTorch are real.

It runs where the stack for GPUs is installed: ``bash scripts/test_gpu_stack.sh -m "" tests/installation``.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.installation.stand_ins import ROOT, add_nvidia_smi

pytestmark = [
    pytest.mark.long,
    pytest.mark.e2e,
    pytest.mark.skipif(
        torch.version.cuda is None or torch.cuda.is_available(),
        reason="needs a PyTorch for CUDA without a GPU: scripts/test_gpu_stack.sh",
    ),
]
SHORT = {"METHODS": "resrl", "STEPS": "1", "EVAL_SAMPLES": "16", "EVAL_PROBLEMS": "4"}


def quickstart(folder: Path, cuda: str, **knobs: str) -> subprocess.CompletedProcess[str]:
    """Run the quickstart in this environment, as on a machine whose driver supports this CUDA."""
    add_nvidia_smi(folder / "commands", cuda)
    hidden = ("CUDA_VISIBLE_DEVICES", "VIRTUAL_ENV", "VERL_PLATFORM", "TRITON_INTERPRET")
    environment = {key: value for key, value in os.environ.items() if key not in hidden}
    environment |= {
        "PATH": f"{folder / 'commands'}:{os.environ['PATH']}",
        "VENV": sys.prefix,
        "OUT": str(folder / "out"),
    }
    command = ["bash", str(ROOT / "examples/quickstart/run.sh")]
    return subprocess.run(command, env=environment | SHORT | knobs, capture_output=True, text=True, check=False)


def test_a_gpu_that_pytorch_cannot_use_is_told_and_the_cpu_trains(tmp_path: Path) -> None:
    done = quickstart(tmp_path, "13.0")
    assert (done.returncode, done.stderr) == (
        1,
        f"error: nvidia-smi shows a GPU, but PyTorch {torch.__version__} cannot use it: Found no NVIDIA driver on your "
        "system; mend the driver, or run on the CPU with DEVICE=cpu\n",
    )
    done = quickstart(tmp_path, "13.0", DEVICE="cpu")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "metrics.json").exists()


def test_a_driver_that_is_too_old_is_told_and_the_cpu_trains(tmp_path: Path) -> None:
    done = quickstart(tmp_path, "12.2")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: the NVIDIA driver supports CUDA 12.2, and PyTorch needs 13.0: ")
    done = quickstart(tmp_path, "12.2", DEVICE="cpu")
    assert done.returncode == 0, done.stderr
