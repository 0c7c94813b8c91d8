# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""A node that is lost ends the run; with real nodes: scripts/node_faults.sh."""

import os
import subprocess
import sys
from typing import Any

from verl_resrl.integration.lost_node import nodes_of

# a Ray of three nodes on this machine, two of which are removed
PROGRAM = """
import threading, ray
from omegaconf import OmegaConf
from ray.cluster_utils import Cluster
from verl_resrl.integration import lost_node

looked, nodes_of = threading.Semaphore(0), lost_node.nodes_of

def counted(*arguments):
    looked.release()
    return nodes_of(*arguments)

def look_twice():  # the first of them is over when the second begins
    while looked.acquire(blocking=False):
        pass
    for _ in range(3):
        looked.acquire()

lost_node.nodes_of, lost_node.SECONDS_BETWEEN_LOOKS = counted, 0.2
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
idle = cluster.add_node(num_cpus=1)
node = cluster.add_node(num_cpus=1, resources={"here": 1})
ray.init(cluster.address)

@ray.remote(resources={"here": 1})
class Worker:
    def ready(self):
        return True

worker = Worker.remote()
ray.get(worker.ready.remote())
lost_node.LostNode().on_job_start(OmegaConf.create({"trainer": {"nnodes": 2}}))
look_twice()
cluster.remove_node(idle)  # which is no concern of this run
look_twice()
print("still here", flush=True)
cluster.remove_node(node)
threading.Event().wait()
"""


def actor(job: str, node: str, state: str = "ALIVE") -> dict[str, Any]:
    return {"JobID": job, "State": state, "Address": {"NodeID": node}}


def test_nodes_of_other_jobs_are_no_concern() -> None:
    actors = [actor("01", "a"), actor("02", "b"), actor("01", "c", "DEAD"), actor("01", "a")]
    assert nodes_of(actors, "01") == {"a"}


def test_a_lost_node_is_named_and_ends_the_process() -> None:
    environment = os.environ | {"RAY_AUTH_MODE": "disabled", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "still here" in done.stdout
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "Ray lost the node" in line
