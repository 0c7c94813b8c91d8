# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Where results come from: commit, sources, versions and machine, kept beside them and in every report."""

import os
import platform
import subprocess
from datetime import datetime, timezone
from importlib import metadata
from typing import Any

from study_settings import ROOT

# isort: split
from fingerprints import source_fingerprint  # of the quickstart, whose folder study_settings puts on the path

OF_THE_START = (
    "starts.py",
    "warm_start.py",
    "smollm2.py",
    "supervised.py",
    "sometimes.py",
    "training.py",
    "precision.py",
)


def code_of_results() -> str:
    """Name the sources that results depend on; not those of reports, and not what is trained: commands say that."""
    package = ROOT / "verl_resrl"
    aside = {package / name for name in ("report", "doctor")}
    files = [*package.rglob("*.py"), *package.rglob("*.yaml")]
    own = [ROOT / "examples" / "quickstart" / name for name in OF_THE_START]
    return source_fingerprint(sorted([*own, *(file for file in files if not aside & set(file.parents))]))


def origin_of_results() -> dict[str, Any]:
    """Describe what is about to be computed, and where.

    Returns:
        For ``runs.files.ORIGIN``; ``commit`` is None outside of a git checkout and ends in "+changes" where files
        differ from it; ``code`` is ``code_of_results()``.
    """
    import torch

    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": _commit(),
        "code": code_of_results(),
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in ("verl", "torch", "transformers", "ray")},
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "gpu": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
    }


def _commit() -> str | None:
    try:
        commit = _git("rev-parse", "HEAD")
        return commit + ("+changes" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    except OSError:  # not Linux
        names = []
    return names[0] if names else platform.processor()
