# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""No program is left behind, however who started it ends."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from verl_resrl.runs.child import child

PRINT_AND_WAIT = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"


def test_a_child_ends_with_the_body(tmp_path: Path) -> None:
    with child([sys.executable, "-c", PRINT_AND_WAIT], os.environ, tmp_path, tmp_path / "log") as running:
        assert running.poll() is None
    assert running.poll() is not None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    code = f"""
import os, sys
from pathlib import Path
from verl_resrl.runs.child import child
folder = Path({str(tmp_path)!r})
with child([sys.executable, "-c", {PRINT_AND_WAIT!r}], os.environ, folder, folder / "log") as running:
    print(running.pid, flush=True)
    running.wait()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        descriptor = os.pidfd_open(int(parent.stdout.readline()))
        parent.send_signal(signal.SIGKILL)
    ended, _, _ = select.select([descriptor], [], [], 60)  # a process's descriptor is readable once it has ended
    os.close(descriptor)
    assert ended
