# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Two machines on one: namespaces of the kernel, each with a network, processes and a host name of its own.

What one sends to the other crosses a link between them; nothing else is reachable. They share the file system, as the
machines of a cluster do, except /run, /dev/shm, /etc/hosts and Ray's folder of sockets and logs. Killing a machine's
first process ends all of its processes, whatever they are doing, and takes its end of the link away: nothing is left on
the host.
"""

import ctypes
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

ADDRESSES = {"machine1": "10.77.0.1", "machine2": "10.77.0.2"}
INTERFACE = "link0"
TOOLS = ("ip", "unshare", "nsenter", "mount", "hostname")
PR_SET_PDEATHSIG = 1  # linux/prctl.h
# bash as the first process also buries orphans, which Ray would take for living ones
_FIRST_PROCESS = """
set -e
hostname {name}
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /run
mkdir -p {logs}/ray /tmp/ray
mount --bind {logs}/ray /tmp/ray
printf '{hosts}' >{logs}/hosts
mount --bind {logs}/hosts /etc/hosts
echo up
while :; do sleep 1000 & wait $!; done
"""


class NoMachines(RuntimeError):
    """Two machines cannot be made here; the message is one line."""


@dataclass(frozen=True)
class Machine:
    """One of the two.

    Attributes:
        name: its host name.
        address: at which the other one reaches it.
        pid: of its first process, as the host counts.
    """

    name: str
    address: str
    pid: int

    def command(self, command: Sequence[str]) -> list[str]:
        """What runs a program on this machine, in the current folder and environment.

        Args:
            command: program and arguments.
        """
        return ["nsenter", "--all", f"--target={self.pid}", f"--wd={Path.cwd()}", "--", *command]

    def run(self, *command: str) -> str:
        """Run a program on this machine to its end.

        Args:
            command: program and arguments.

        Returns:
            What it wrote.

        Raises:
            NoMachines: it failed.
        """
        return _checked(self.command(command))


def missing() -> str | None:
    """Say in one line why two machines cannot be made here, or None if they can."""
    if os.uname().sysname != "Linux":
        return "needs Linux: two machines are made of its namespaces"
    if os.geteuid() != 0:
        return "needs root: namespaces with a network between them are made of nothing less"
    lacking = [tool for tool in TOOLS if shutil.which(tool) is None]
    return f"needs {', '.join(lacking)}: install iproute2 and util-linux" if lacking else None


@contextmanager
def two_machines(logs: Path, link: Callable[[Sequence[Machine]], None] | None = None) -> Iterator[list[Machine]]:
    """Make two machines with a link between them; both end with the body, or with this process.

    Args:
        logs: folder for what Ray writes on each of them.
        link: connects them and gives each its address; by default a pair of virtual Ethernet devices.

    Raises:
        NoMachines: they cannot be made here.
    """
    reason = missing()
    if reason:
        raise NoMachines(reason)
    with ExitStack() as stack:
        machines = [stack.enter_context(_machine(name, address, logs / name)) for name, address in ADDRESSES.items()]
        (link or ethernet)(machines)
        yield machines


@contextmanager
def _machine(name: str, address: str, logs: Path) -> Iterator[Machine]:
    hosts = "".join(f"{ip} {host}\\n" for host, ip in (ADDRESSES | {"localhost": "127.0.0.1"}).items())
    program = _FIRST_PROCESS.format(name=name, logs=shlex.quote(str(logs.resolve())), hosts=hosts)
    namespaces = ("--net", "--uts", "--ipc", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
    process = subprocess.Popen(
        ["unshare", *namespaces, "--", "bash", "-c", program],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C reaches us alone
        preexec_fn=_die_with_parent(),
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        if process.stdout.readline() != "up\n":
            process.kill()
            raise NoMachines(f"{name} did not start: {' '.join(process.stderr.read().split())[:300]}")
        first = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text())
        try:
            yield Machine(name, address, first)
        finally:
            os.kill(first, signal.SIGKILL)  # it is gone when all processes of the namespace are; unshare waits for it


def ethernet(machines: Sequence[Machine]) -> None:
    """Connect two machines by a pair of virtual Ethernet devices.

    Args:
        machines: both.
    """
    first, second = (str(machine.pid) for machine in machines)
    pair = ("name", INTERFACE, "netns", first, "type", "veth", "peer", "name", INTERFACE, "netns", second)
    _checked(["ip", "link", "add", *pair])
    for machine in machines:
        bring_up(machine)


def bring_up(machine: Machine) -> None:
    """Give a machine's end of the link its address.

    Args:
        machine: that has the device ``INTERFACE``.
    """
    machine.run("ip", "address", "add", f"{machine.address}/24", "dev", INTERFACE)
    for device in ("lo", INTERFACE):
        machine.run("ip", "link", "set", device, "up")


def _checked(command: Sequence[str]) -> str:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        text = " ".join((done.stderr or done.stdout).split())
        raise NoMachines(f"{shlex.join(command)} ended with {done.returncode}: {text[-300:]}")
    return done.stdout


def _die_with_parent() -> Callable[[], object]:
    """Ask the kernel to kill a child when the thread that starts it is gone, even by kill -9 of all of us."""
    prctl = ctypes.CDLL(None).prctl  # looked up before the fork: other threads may hold locks then
    return lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
