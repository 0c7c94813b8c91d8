# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""A link between two machines that can be slow, late and cut, for kernels without ``netem``.

A process of its own holds a tunnel device of each machine and carries the packets from one to the other: each waits for
those before it at the link's rate, then for the delay; a queue that is a second long drops what comes on top. While the
link is cut, all packets are lost.

``python -m benchmarks.link PID PID`` obeys lines on its standard input: ``MILLISECONDS MBIT_PER_SECOND`` or ``cut``.
"""

import ctypes
import fcntl
import heapq
import os
import select
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.machines import INTERFACE, Machine, bring_up

CLONE_NEWNET = 0x40000000  # linux/sched.h
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000  # linux/if_tun.h
LONGEST_QUEUE = 1.0  # seconds
LARGEST_PACKET = 65536


class Link:
    """Call it with two machines to connect them, as ``two_machines`` does.

    Args:
        delay_ms: of each direction.
        mbit: per second and direction.
    """

    def __init__(self, delay_ms: float = 0, mbit: float = 10_000) -> None:
        self._first = f"{delay_ms} {mbit}"
        self._process: subprocess.Popen | None = None

    def __call__(self, machines: Sequence[Machine]) -> None:
        """Connect them.

        Args:
            machines: both.
        """
        command = [sys.executable, "-m", "benchmarks.link", *(str(machine.pid) for machine in machines)]
        root = Path(__file__).resolve().parents[1]
        self._process = subprocess.Popen(
            command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "up\n":
            raise RuntimeError("the link did not start")
        self.set(self._first)
        for machine in machines:
            bring_up(machine)

    def set(self, line: str) -> None:
        """Change the link.

        Args:
            line: as the process takes it.
        """
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def close(self) -> None:
        """End the process, which takes the devices away."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait()


def _tunnel(pid: str) -> int:
    """Make the device in a machine's network namespace; the open file goes on belonging to it."""
    with open(f"/proc/{pid}/ns/net") as namespace:
        if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter the network of process {pid}")
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", INTERFACE.encode(), IFF_TUN | IFF_NO_PI))
    return device


def carry(devices: Sequence[int], commands: int) -> None:
    """Carry packets until the commands end.

    Args:
        devices: both ends.
        commands: file of the lines that change the link.
    """
    delay, rate, cut = 0.0, 1e9, False  # seconds, bytes a second
    free = dict.fromkeys(devices, 0.0)  # when the last packet towards it will have been sent
    waiting: list[tuple[float, int, int, bytes]] = []  # when it arrives, number, where, packet
    number = 0
    while True:
        wait = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        ready, _, _ = select.select([*devices, commands], [], [], wait)
        now = time.monotonic()
        if commands in ready:
            text = os.read(commands, 4096).decode().split("\n")[-2:-1]
            if not text:
                return
            cut = text[0] == "cut"
            if not cut:
                milliseconds, mbit = map(float, text[0].split())
                delay, rate = milliseconds / 1e3, mbit * 1e6 / 8
        for source, target in (devices, devices[::-1]):
            if source not in ready:
                continue
            packet = os.read(source, LARGEST_PACKET)
            if cut or free[target] - now > LONGEST_QUEUE:
                continue
            free[target] = max(now, free[target]) + len(packet) / rate
            number += 1
            heapq.heappush(waiting, (free[target] + delay, number, target, packet))
        while waiting and waiting[0][0] <= now:
            _, _, target, packet = heapq.heappop(waiting)
            if not cut:
                _deliver(target, packet)


def _deliver(device: int, packet: bytes) -> None:
    try:
        os.write(device, packet)
    except OSError:
        return  # the machine is gone, or its end is not up yet: the packet is lost, as on a cable


if __name__ == "__main__":
    ends = [_tunnel(pid) for pid in sys.argv[1:]]
    print("up", flush=True)
    carry(ends, sys.stdin.fileno())
