# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Which of the stacks that the tests ran with an installation is like, and what of it they never ran with.

The tested versions are those of ``requirements.txt`` and ``requirements-gpu.txt``, which the package's metadata has as
the extras ``tested-cpu`` and ``tested-gpu``.
"""

import importlib
from importlib import metadata

from packaging.requirements import Requirement

from verl_resrl.doctor.finding import NotHere
from verl_resrl.doctor.versions import PACKAGE

NAMES = {"torch": "PyTorch", "triton": "Triton", "transformers": "transformers", "vllm": "vLLM"}


def check_stack() -> str:
    """Name the stack and every version that was never tested with it, which may work all the same."""
    import torch

    kind, what = ("gpu", "for GPUs") if torch.version.cuda else ("cpu", "for CPUs")
    named = ", ".join(f"{label} {_installed(name)}" for name, label in NAMES.items() if _installed(name))
    other = [
        f"{name} {_installed(name)} ({tested} was)"
        for name, tested in tested_versions(kind).items()
        if _installed(name) and _installed(name).split("+")[0] != tested
    ]
    return f"{what}: {named}; " + (f"never tested: {', '.join(other)}" if other else "every version was tested")


def tested_versions(kind: str) -> dict[str, str]:
    """List what the tests ran with.

    Args:
        kind: "cpu" or "gpu".

    Returns:
        Name of a distribution -> version.
    """
    requirements = map(Requirement, metadata.requires(PACKAGE) or [])
    return {
        requirement.name: str(requirement.specifier).removeprefix("==")
        for requirement in requirements
        if requirement.marker and f'extra == "tested-{kind}"' in str(requirement.marker)
    }


def check_attention() -> str:
    """Tell which attention the launch scripts choose on a GPU."""
    import torch

    if not torch.cuda.is_available():
        raise NotHere("no GPU: sdpa (+device=cpu)")
    try:
        importlib.import_module("flash_attn")
    except Exception as error:  # not installed, or built for another PyTorch
        return (
            f"sdpa: flash-attn cannot be imported ({type(error).__name__}; docs/installation.md says what that costs)"
        )
    return f"flash-attn {_installed('flash-attn')}"


def _installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
