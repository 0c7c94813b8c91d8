# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Short names for combinations of settings and for the content of sources."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from knobs import ROOT


def fingerprint(**parts: object) -> str:
    """Name a combination of settings.

    Args:
        **parts: JSON values, or paths, which count by their text.

    Returns:
        Ten hexadecimal digits.
    """
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:10]


def source_fingerprint(files: Iterable[Path]) -> str:
    """Name the content of source files, so that results of other code are not taken for those of this one.

    Args:
        files: source files below the repository's root.
    """
    return fingerprint(**{str(file.relative_to(ROOT)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files})


def file_states(files: Sequence[Path]) -> list[tuple[str, int, int]]:
    """Path, size in bytes and time of change in ns of each file, which tell a file from one that took its place.

    Args:
        files: that are there; too large to read them all.
    """
    return [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
