# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Makes the tests repeat exactly, and skips what this machine cannot run."""

import importlib.metadata
import os

# read when NumPy is imported: the matrices are tiny, more threads cost time
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# read when verl first looks for an accelerator, once in a process
os.environ["VERL_PLATFORM"] = "cpu"

import pytest
import torch
from hypothesis import settings

if not torch.cuda.is_available():
    # read when Triton is imported: kernels run in its interpreter
    os.environ["TRITON_INTERPRET"] = "1"

settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=30, database=None)
settings.load_profile("repeatable")
torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests marked ``gpu`` without one, and those marked ``vllm`` without one that is built for CPUs."""
    missing = {}
    if not torch.cuda.is_available():
        missing["gpu"] = "needs an NVIDIA GPU, and torch sees none"
    if not _vllm_for_cpus():
        missing["vllm"] = "needs a vLLM that is built for CPUs: bash scripts/test_vllm.sh installs it"
    for item in items:
        for marker, reason in missing.items():
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


def _vllm_for_cpus() -> bool:
    try:
        return importlib.metadata.version("vllm").endswith("+cpu")  # by which vLLM itself knows
    except importlib.metadata.PackageNotFoundError:
        return False
