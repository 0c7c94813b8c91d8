# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""examples/cluster on two nodes of Ray that a network connects: a launch script, as people submit it."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.machines import Machine, missing, two_machines
from benchmarks.ray_nodes import DASHBOARD_PORT, RAY, ray_on
from tests.training.trainer import make_task

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "examples" / "quickstart"))  # whose modules import each other as scripts do
SUBMIT = ["bash", str(ROOT / "examples" / "cluster" / "ray_submit.sh")]
LAUNCH = ROOT / "examples" / "math" / "run_resrl_qwen3_4b.sh"
pytestmark = [
    pytest.mark.long,
    pytest.mark.e2e,
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]


@dataclass
class Cluster:
    """Two nodes, and how to submit to them."""

    head: Machine
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        address = f"http://{self.head.address}:{DASHBOARD_PORT}"
        return os.environ | {"RAY_API_SERVER_ADDRESS": address, "PYTHON": sys.executable}

    def submit(self, *arguments: str, **knobs: str) -> subprocess.CompletedProcess[str]:
        command = self.head.command([*SUBMIT, *arguments])
        return subprocess.run(command, env=self.environment | knobs, capture_output=True, text=True, check=False)

    def script(self, text: str) -> str:
        (self.folder / "run.sh").write_text(text)
        return str(self.folder / "run.sh")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    with two_machines(folder / "machines") as machines, ray_on(machines, dashboard=True):
        yield Cluster(machines[0], folder)


def test_a_training_is_submitted_and_followed(cluster: Cluster) -> None:
    from settings import Settings

    from benchmarks.small_task import Task

    folder = make_task(cluster.folder)
    for name in ("train", "test"):
        shutil.copy(folder / "data.parquet", folder / f"{name}.parquet")
    shared = {"STEPS": "2", "SAVE_EVERY": "2", "PROMPTS": "4", "MINI_BATCH": "4", "METHODS": "resrl", "RANK": "4"}
    knobs, arguments = Task(folder, folder, Settings.from_environment(shared)).launch(cluster.folder / "run")
    arguments.append(f"reward.custom_reward_function.path={folder}/reward.py")
    done = cluster.submit(str(LAUNCH), *arguments, **knobs)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "step:2" in done.stdout
    (file,) = (cluster.folder / "run" / "metrics").iterdir()
    assert [json.loads(line)["step"] for line in file.read_text().splitlines()] == [1, 2]
    assert (cluster.folder / "run" / "checkpoints" / "global_step_2" / "actor").is_dir()
    # as many ranks as the checkpoint has, or a line that says so before anything starts
    more = cluster.submit(str(LAUNCH), *arguments, "trainer.nnodes=1", **knobs | {"STEPS": "3"})
    assert more.returncode == 1
    assert "was saved by 2 ranks and this run has 1 (trainer.nnodes=1 x" in more.stdout


def test_more_nodes_than_there_are(cluster: Cluster) -> None:
    done = cluster.submit(cluster.script("exit 0"), NNODES="3", GPUS_PER_NODE="1")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        "error: NNODES=3 GPUS_PER_NODE=1, and 2 of the cluster's 2 nodes have 1 GPUs or more (they have 1, 1): set "
        "these, start more nodes, or set WAIT_FOR_NODES=1 where an autoscaler adds them\n"
    )


def test_the_exit_code_is_that_of_the_run(cluster: Cluster) -> None:
    done = cluster.submit(cluster.script("echo said; exit 3"))
    assert done.returncode == 3
    assert "said\n" in done.stdout
    assert done.stderr.splitlines()[-1].startswith("error: the job raysubmit_")
    assert cluster.submit(cluster.script("exit 3"), NO_WAIT="1").returncode == 0


def test_ctrl_c_stops_watching_and_says_what_goes_on(cluster: Cluster) -> None:
    command = cluster.head.command([*SUBMIT, cluster.script("echo started; sleep 1000")])
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, env=cluster.environment, text=True, **pipes)
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert any(line == "started\n" for line in process.stdout)
        # nsenter waits for it, and would not pass the signal on
        os.kill(int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()), signal.SIGINT)
        said = process.stderr.read()
        assert process.wait() == 130
    assert "stopped watching; the job raysubmit_" in said
    assert "Traceback" not in said
    job = said.split("submitted as ")[1].split()[0]
    address = f"--address=http://{cluster.head.address}:{DASHBOARD_PORT}"
    assert "RUNNING" in cluster.head.run(RAY, "job", "status", address, job)
    assert f"`ray job stop {job}` ends it" in said
    cluster.head.run(RAY, "job", "stop", address, job)
    assert "was stopped" in cluster.head.run(RAY, "job", "status", address, job)
