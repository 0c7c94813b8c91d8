# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Memory of the processes of a run over its steps, and whether it grows."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import psutil

MIB = 2**20
_SERVERS = {"raylet": "raylet", "gcs_server": "gcs_server"}


@dataclass(frozen=True)
class Sample:
    """Memory of one process at one time.

    Attributes:
        seconds: since the run began.
        step: newest finished training step.
        pid: of the process.
        role: what it does in the run, such as ``WorkerDict`` (verl's name of the training workers).
        rss_mib: resident memory, pages shared with other processes included.
        pss_mib: the same with each shared page divided by the number of its owners; the sum over processes is what
            the run takes.
        uss_mib: pages that no other process has.
    """

    seconds: float
    step: int
    pid: int
    role: str
    rss_mib: float
    pss_mib: float
    uss_mib: float


@dataclass(frozen=True)
class Growth:
    """How the memory of one process changed after the warm-up.

    Attributes:
        pid: of the process; 0 for all processes together.
        role: of the process.
        before_mib: median over the first fifth of the steps after the warm-up.
        after_mib: median over the last fifth.
    """

    pid: int
    role: str
    before_mib: float
    after_mib: float

    @property
    def fraction(self) -> float:
        """Growth from ``before_mib`` to ``after_mib``."""
        return self.after_mib / self.before_mib - 1


class ProcessWatcher:
    """Takes samples of all descendants of a process.

    Args:
        root: process id; this process by default.
    """

    def __init__(self, root: int | None = None) -> None:
        self._root = psutil.Process(root)
        self._roles: dict[int, str] = {}

    def samples(self, seconds: float, step: int) -> list[Sample]:
        """Sample every descendant that is alive.

        Args:
            seconds: since the run began.
            step: newest finished training step.
        """
        found = []
        for process in self._root.children(recursive=True):
            try:
                role = self._role(process.pid, process.cmdline())
                memory = process.memory_full_info()
            except psutil.Error:  # it ended meanwhile
                continue
            sizes = (memory.rss / MIB, getattr(memory, "pss", memory.rss) / MIB, memory.uss / MIB)
            found.append(Sample(seconds, step, process.pid, role, *sizes))
        return found

    def _role(self, pid: int, command: Sequence[str]) -> str:
        """A Ray worker is known by the last actor that it was; one that has not been any is ``idle worker``."""
        role = role_of(command)
        if role != "idle worker" or pid not in self._roles:
            self._roles[pid] = role
        return self._roles[pid]


def role_of(command: Sequence[str]) -> str:
    """Name a process by its command line.

    Args:
        command: arguments; Ray's workers put ``ray::Actor.method`` in the first.
    """
    text = " ".join(command)
    if actor := re.match(r"ray::(?:\w+::)?(\w+)", text):
        return "idle worker" if actor[1] == "IDLE" else actor[1]
    if "verl.trainer.main_ppo" in text:
        return "main_ppo"
    name = os.path.basename(command[0]) if command else "exited"
    if "python" in name and len(command) > 1:
        script = next((part for part in command[1:] if part.endswith(".py")), "")
        return os.path.basename(script) or name
    return _SERVERS.get(name, name)


def growth_after_warm_up(samples: Sequence[Sample], warm_up: int, steps: int) -> list[Growth]:
    """Compare medians of proportional set sizes (PSS) early and late after the warm-up.

    Medians of two windows, because memory is not a line: it moves in jumps and comes back.

    Args:
        samples: of the whole run.
        warm_up: steps that do not count.
        steps: of the run.

    Returns:
        Growth of every process that lived through both windows, the largest first, and before them that of the sum.

    Raises:
        ValueError: a window has no samples, because the run was too short.
    """
    fifth = (steps - warm_up) / 5
    early = [s for s in samples if warm_up < s.step <= warm_up + fifth]
    late = [s for s in samples if s.step > steps - fifth]
    if fifth < 1 or not early or not late:
        raise ValueError(f"{steps} steps are too few to compare memory after a warm-up of {warm_up}")
    processes = []
    roles = {s.pid: s.role for s in samples}
    for pid, role in roles.items():
        before, after = ([s.pss_mib for s in window if s.pid == pid] for window in (early, late))
        if before and after:
            processes.append(Growth(pid, role, median(before), median(after)))
    total = Growth(0, "all processes", _median_of_sums(early), _median_of_sums(late))
    return [total, *sorted(processes, key=lambda growth: -growth.after_mib)]


def _median_of_sums(window: Sequence[Sample]) -> float:
    sums: Counter[float] = Counter()
    for sample in window:
        sums[sample.seconds] += sample.pss_mib  # type: ignore[assignment]
    return median(sums.values())
