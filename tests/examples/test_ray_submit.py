# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Submitting a run to a Ray cluster: knobs and quotes arrive, and a cluster that is too small is refused."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import submit
from submit import HERE, SubmitError, check_nodes, job_environment


def nodes(*gpus: float, state: str = "ALIVE") -> list[SimpleNamespace]:
    return [SimpleNamespace(state=state, resources_total={"CPU": 4.0, "GPU": count}) for count in gpus]


def test_knobs_and_arguments_arrive() -> None:
    """Those of launch.sh and the domains; nothing else of this shell, and no quote is lost on the way."""
    shell = {"SEED": "5", "PATH": "/bin", "STEPS": "", "VERL_ARGS": "x=1"}
    knobs = job_environment(shell, "/here", ["a='b $c'"])
    assert knobs.keys() == {"SEED", "VERL_ARGS", "RUN_FROM"}
    assert (knobs["SEED"], knobs["RUN_FROM"]) == ("5", "/here")
    words = ["xargs", "-n1", "printf", "%s\\n"]
    parsed = subprocess.run(words, input=knobs["VERL_ARGS"], capture_output=True, text=True, check=True)
    assert parsed.stdout == "x=1\na='b $c'\n"


def test_a_cluster_that_is_too_small_is_refused() -> None:
    check_nodes(nodes(8, 8), {"NNODES": "2"})
    check_nodes(nodes(1, 1), {})  # the script may have its own mind
    check_nodes(nodes(1), {"NNODES": "3", "WAIT_FOR_NODES": "1"})
    check_nodes([SimpleNamespace(state="ALIVE", resources_total={"NPU": 8})], {"NNODES": "1"})
    with pytest.raises(SubmitError, match=r"and 2 of the cluster's 3 nodes have 8 GPUs or more \(they have 4, 8, 8\)"):
        check_nodes([*nodes(8, 8, 4), *nodes(8, state="DEAD")], {"NNODES": "3"})
    with pytest.raises(SubmitError, match="NNODES=two must be an integer"):
        check_nodes(nodes(8), {"NNODES": "two"})


class Flaky:
    """Ray's client, which answers after so many broken connections."""

    def __init__(self, broken: int) -> None:
        self.left = broken

    def get_job_info(self, job: str) -> SimpleNamespace:
        self.left -= 1
        if self.left >= 0:
            raise ConnectionError("connection\nreset")
        return SimpleNamespace(status=Status(), message="", driver_exit_code=0)


class Status(str):
    """SUCCEEDED, as Ray says it."""

    def __new__(cls) -> "Status":
        return super().__new__(cls, "SUCCEEDED")

    def is_terminal(self) -> bool:
        return True


def test_a_lost_connection_is_no_failed_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submit, "POLL_SECONDS", 0)
    monkeypatch.setattr(submit, "PATIENCE", 3)
    assert submit._exit_code(Flaky(2), "job", "it goes on") == 0
    with pytest.raises(SubmitError, match=r"does not answer any more \(connection reset\); it goes on"):
        submit._exit_code(Flaky(3), "job", "it goes on")


def test_a_head_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "run.sh").touch()
    command = ["bash", str(HERE / "ray_submit.sh"), "run.sh"]
    environment = {**os.environ, "RAY_API_SERVER_ADDRESS": "http://127.0.0.1:9", "PYTHON": sys.executable}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: RAY_API_SERVER_ADDRESS=http://127.0.0.1:9: ")
    assert "Traceback" not in done.stderr
