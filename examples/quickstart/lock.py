# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""One quickstart per folder."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from settings import QuickstartError


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold a folder for this process; the lock goes with the process, however it ends.

    Args:
        folder: created if missing.

    Raises:
        QuickstartError: another process holds it, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise QuickstartError(f"OUT: cannot write to {folder} ({error.strerror})") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise QuickstartError(f"OUT: another run is going on in {folder}; wait or set another OUT") from None
        yield
