# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Measurements in a CSV file that grows as they are made, each row stamped with where and when it was made."""

import csv
import os
import platform
import re
from collections.abc import Collection
from dataclasses import asdict, fields
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import get_type_hints

import torch

from benchmarks.record import Measurement

STAMP = ("device", "processor", "torch", "triton", "python", "verl_resrl", "utc")
COLUMNS = (*(field.name for field in fields(Measurement)), *STAMP)


class ResultsFile:
    """The CSV file of one device. Whatever was appended stays, however the run ends.

    Args:
        path: the file; an existing one is replaced, except for its rows of other questions.
        device: ``cuda`` or ``cpu``.
        questions: that this run measures.
    """

    def __init__(self, path: Path, device: str, questions: Collection[str]) -> None:
        self._path = path
        self._stamp = _stamp(device)
        kept = [row for row in _read_rows(path) if row["question"] not in questions]
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(kept)

    def append(self, rows: list[Measurement]) -> None:
        """Add measurements.

        Args:
            rows: made just now.
        """
        utc = datetime.now(timezone.utc).isoformat(timespec="seconds")
        with self._path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writerows(asdict(row) | self._stamp | {"utc": utc} for row in rows)


def read_measurements(path: Path) -> list[Measurement]:
    """Read the file back.

    Args:
        path: the file.

    Returns:
        Its measurements in order; none if there is no file.
    """
    types = get_type_hints(Measurement)
    return [Measurement(**{name: kind(row[name]) for name, kind in types.items()}) for row in _read_rows(path)]


def processor(device: str) -> str:
    """Name what computes.

    Args:
        device: ``cuda`` or ``cpu``.

    Returns:
        Such as ``NVIDIA H200``, or ``AMD EPYC, 2 cores, 2 threads``.
    """
    if device == "cuda":
        return torch.cuda.get_device_name()
    cpuinfo = Path("/proc/cpuinfo")
    model = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(), re.MULTILINE) if cpuinfo.exists() else None
    name = model[1] if model else platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"


def _stamp(device: str) -> dict[str, str]:
    return {
        "device": device,
        "processor": processor(device),
        "torch": str(torch.__version__),
        "triton": _version("triton"),
        "python": platform.python_version(),
        "verl_resrl": _version("verl_resrl"),
    }


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "none"


def _read_rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
