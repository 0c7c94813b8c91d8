# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Memory of the host that glibc would keep for later."""

import ctypes
import sys


def return_memory() -> None:
    """Give what has been freed back to the system, where there is glibc; other processes of the run need it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:  # musl has none
        trim(0)
