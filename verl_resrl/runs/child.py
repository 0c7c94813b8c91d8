# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""A program that does not outlive who starts it, such as verl: it would keep the devices."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

PR_SET_PDEATHSIG = 1  # linux/prctl.h
SECONDS_TO_STOP = 10.0


@contextmanager
def child(command: Sequence[str], environment: Mapping[str, str], cwd: Path, log: Path) -> Iterator[subprocess.Popen]:
    """Run a program whose output goes to a log, and end it with its children when the body ends.

    Args:
        command: program and arguments.
        environment: its whole environment.
        cwd: its working directory.
        log: file to append to.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            env=dict(environment),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches us alone; we then stop the child in our own way
            preexec_fn=_die_with_parent() if sys.platform == "linux" else None,
        )
    try:
        yield process
    finally:
        _stop(process)


def _die_with_parent() -> Callable[[], None]:
    """Ask the kernel to kill the child when the thread that starts it is gone, even by kill -9 of all of us.

    That thread must outlive the child, as the body of ``child`` does.
    """
    parent = os.getpid()
    prctl = ctypes.CDLL(None).prctl  # looked up before the fork: other threads may hold locks then

    def before_exec() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died in between
            os._exit(1)

    return before_exec


def _stop(process: subprocess.Popen) -> None:
    if process.poll() is not None:
        return
    for how in (signal.SIGINT, signal.SIGKILL):
        os.killpg(process.pid, how)
        try:
            process.wait(SECONDS_TO_STOP)
            return
        except subprocess.TimeoutExpired:
            continue
