# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""What the scripts that train the small task share: help, environment, end. Needs nothing but Python by itself."""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any


def begin(help_text: str) -> None:
    """Answer --help, and prepare this process; to be called before torch is loaded.

    Args:
        help_text: of the script.
    """
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(help_text)
        sys.exit(0)
    # read when torch is loaded: threads that spin while they wait take the cores from whatever else runs
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that it, too, cleans up
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell makes what it starts with & ignore it


def end(work: Callable[[dict[str, str], Any], bool], knobs: Sequence[Any], *errors: type[Exception]) -> None:
    """Do the script's work and exit: 0 if it finds all as it should be, 1 if not, 130 when stopped.

    Args:
        work: takes the knobs' values by name, and a console.
        knobs: with a ``name`` and a ``default``, read from the environment.
        errors: whose message is all that is said of them.
    """
    from rich.console import Console

    try:
        good = work({k.name: os.environ.get(k.name, "").strip() or k.default for k in knobs}, Console())
    except errors as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("stopped; the same command starts again", file=sys.stderr)
        sys.exit(130)
    sys.exit(0 if good else 1)
