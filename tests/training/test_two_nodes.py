# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Two nodes of Ray in namespaces of their own: the same training as on one, and nothing left when it is stopped."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from benchmarks.machines import ADDRESSES, INTERFACE, missing, two_machines

ROOT = Path(__file__).parents[2]
SCRIPT = [sys.executable, str(ROOT / "scripts" / "two_nodes.py")]
pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))


def test_machines_reach_each_other_and_nothing_else(tmp_path: Path) -> None:
    listen = "import socket; s = socket.create_server(('0.0.0.0', 5000)); print('listens', flush=True); s.accept()"
    call = "import socket, sys; socket.create_connection((sys.argv[1], 5000))"
    with two_machines(tmp_path) as (first, second):
        assert [machine.run("hostname").strip() for machine in (first, second)] == list(ADDRESSES)
        listening = subprocess.Popen(
            first.command([sys.executable, "-c", listen]), stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        with listening:
            assert listening.stdout is not None
            assert listening.stdout.readline() == "listens\n"
            second.run(sys.executable, "-c", call, first.address)
            assert listening.wait() == 0
        devices = first.run("ip", "-brief", "link").split()
        assert {name.split("@")[0] for name in devices if "@" in name or name == "lo"} == {"lo", INTERFACE}
        pid = int(second.run("bash", "-c", "setsid sleep 1000 >/dev/null 2>&1 & echo $!"))
        daemon = children(second.pid)
        assert pid > 1
        assert len(daemon) > 1
    assert not any(Path(f"/proc/{process}").exists() for process in [first.pid, second.pid, *daemon])


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def processes_below(folder: Path) -> dict[psutil.Process, str]:
    """This machine's processes that name a folder, and their command lines; those in namespaces are among them."""
    found = ((process, " ".join(process.info["cmdline"] or ())) for process in psutil.process_iter(["cmdline"]))
    return {process: line for process, line in found if str(folder) in line}


def assert_none_is_left(folder: Path) -> None:
    _, alive = psutil.wait_procs(processes_below(folder), timeout=60)  # the kernel takes a moment to end a namespace
    assert alive == []


@pytest.mark.long
@pytest.mark.e2e
def test_two_nodes_train_as_one(tmp_path: Path) -> None:
    done = subprocess.run(SCRIPT, env=os.environ | {"OUT": str(tmp_path)}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    verdict = (tmp_path / "two_nodes.txt").read_text().splitlines()
    same = ["weights after step 3: 35 of 35 tensors equal to the bit", "metrics of steps 1, 2, 3: 0 differ"]
    assert verdict[1:3] == same
    assert verdict[4:] == same
    assert_none_is_left(tmp_path)


@pytest.mark.long
@pytest.mark.e2e
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_when_it_is_stopped(how: signal.Signals, tmp_path: Path) -> None:
    """While Ray runs on both nodes and verl starts."""
    script = subprocess.Popen(
        SCRIPT, env=os.environ | {"OUT": str(tmp_path)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    with script:
        assert script.stdout is not None
        for line in script.stdout:
            if "verl starts" in line:
                break
        else:
            pytest.fail("verl did not start")
        names = [line.split()[0].rpartition("/")[2] for line in processes_below(tmp_path).values()]
        assert names.count("unshare") == 2  # the machines; what ends with them need not name the folder
        script.send_signal(how)
        script.stdout.read()
        assert script.wait() == (130 if how == signal.SIGINT else -signal.SIGKILL)
    assert_none_is_left(tmp_path)
