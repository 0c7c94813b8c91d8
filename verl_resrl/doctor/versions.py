# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Versions of Python and of packages, against what our own metadata asks for."""

import importlib
import platform
import re
from importlib import metadata

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from verl_resrl.doctor.finding import NotHere, Problem

PACKAGE = "verl_resrl"
INSTALL = "install it into this Python: pip install -e . in the repository (or pip install -e .[gpu] / .[cpu])"


def check_python() -> str:
    """Python's version is one that we support."""
    try:
        wanted = SpecifierSet(metadata.metadata(PACKAGE)["Requires-Python"] or "")
    except metadata.PackageNotFoundError:
        raise Problem(f"{PACKAGE} is not installed in this Python, only found on its path", INSTALL) from None
    version = platform.python_version()
    if version not in wanted:
        raise Problem(f"{version}, and {wanted} is needed", "make a virtual environment with a supported Python")
    return version


def check_package(name: str) -> str:
    """A package is there, in a version that our metadata allows.

    Args:
        name: of the distribution.
    """
    wanted = _requirement(name)
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        raise Problem("not installed", f"pip install '{name}{wanted}'") from None
    if not wanted.contains(version, prereleases=True):
        raise Problem(f"{version}, and {wanted} is supported", f"pip install '{name}{wanted}'")
    return f"{version} ({wanted} is supported)" if wanted else version


def check_triton() -> str:
    """Triton is there where a GPU could use it; PyTorch for GPUs brings it along."""
    if not _has_gpu():
        raise NotHere("no GPU: weights are computed by torch")
    return check_package("triton")


def check_vllm() -> str:
    """Tell whether vLLM can be used where a GPU is: rollouts and resrl eval do."""
    if not _has_gpu():
        raise NotHere("no GPU: rollouts and resrl eval use Hugging Face (+device=cpu)")
    install = "pip install 'verl[vllm]', or pip install -e .[gpu]"
    try:
        version = metadata.version("vllm")
    except metadata.PackageNotFoundError:
        raise Problem("not installed, and there is a GPU", install) from None
    try:
        importlib.import_module("vllm")
    except Exception as error:  # of its compiled parts: another PyTorch, another CUDA, ...
        reason = " ".join(str(error).split())
        raise Problem(f"{version} cannot be imported ({type(error).__name__}: {reason})", install) from error
    wanted = _requirement("vllm", "verl", "vllm")
    return version if wanted.contains(version, prereleases=True) else f"{version}, and verl's own extra asks {wanted}"


def _requirement(name: str, owner: str = PACKAGE, extra: str = "") -> SpecifierSet:
    """What the metadata of a package asks of another: in an extra, or outside of all of them."""
    try:
        lines = metadata.requires(owner) or []
    except metadata.PackageNotFoundError:
        lines = []
    requirements = [
        requirement
        for requirement in map(Requirement, lines)
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra})
    ]
    same = [r.specifier for r in requirements if re.sub(r"[-_.]+", "-", r.name).lower() == name]
    return same[0] if same else SpecifierSet()


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()
