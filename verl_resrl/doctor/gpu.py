# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Which GPU PyTorch sees, and why none where the driver shows one."""

import os
import subprocess

from verl_resrl.doctor.finding import NotHere, Problem

HIDDEN = "CUDA_VISIBLE_DEVICES"


def check_gpu() -> str:
    """Name the GPUs that torch sees."""
    import torch

    if torch.cuda.is_available():
        return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}"
    if os.environ.get(HIDDEN) in ("", "-1"):
        raise NotHere(f"hidden by {HIDDEN}={os.environ[HIDDEN]}: train with +device=cpu")
    shown = shown_by_the_driver()
    if not shown:
        raise NotHere("torch sees none: train with +device=cpu")
    raise Problem(
        f"nvidia-smi shows {shown}, but PyTorch {torch.__version__} cannot use it: {_reason()}",
        "mend the driver, or install a PyTorch that it supports (docs/installation.md); +device=cpu trains without it",
    )


def shown_by_the_driver() -> str:
    """Name the first GPU that nvidia-smi lists; empty if there is none."""
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False, timeout=60).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
    names = [line.split(" (UUID")[0] for line in listed.splitlines() if line.startswith("GPU ")]
    return names[0] if names else ""


def _reason() -> str:
    """What PyTorch says when it is asked to use CUDA."""
    import torch

    try:
        torch.cuda.init()
    except Exception as error:  # of the driver: missing, too old; or a PyTorch without CUDA
        return str(error).split(". ")[0].splitlines()[0]
    return "it gives no reason"
