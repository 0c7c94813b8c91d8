# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Ray on two machines, as people start it, and verl's command for a training on both."""

import os
import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from benchmarks.machines import Machine

PORT, DASHBOARD_PORT = 6379, 8265
RAY = str(Path(sys.executable).with_name("ray"))
# what Ray counts on each: one rank, and the processes of a run
_COUNTED = ("--num-gpus=1", "--num-cpus=12", "--disable-usage-stats")
# every request goes to the same rollout server: verl would draw one at random, and no run would equal another
REPEATABLE = "actor_rollout_ref.rollout.full_determinism=True"


@contextmanager
def ray_on(machines: Sequence[Machine], dashboard: bool = False) -> Iterator[None]:
    """Start Ray's head on the first machine, and a node on each of the others.

    All of them, and the processes that this one starts in the body, share a token. Without, Ray (2.60) asks for one as
    soon as a user who starts a head has ever had a Ray of his own, and other nodes do not have it.

    Args:
        machines: all of them.
        dashboard: whether jobs can be submitted.
    """
    head, *others = machines
    options = [f"--node-ip-address={head.address}", f"--port={PORT}", f"--include-dashboard={dashboard}"]
    if dashboard:
        options += ["--dashboard-host=0.0.0.0", f"--dashboard-port={DASHBOARD_PORT}"]
    with patch.dict(os.environ, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32)):
        head.run(RAY, "start", "--head", *options, *_COUNTED)
        for machine in others:
            node = (f"--address={head.address}:{PORT}", f"--node-ip-address={machine.address}")
            machine.run(RAY, "start", *node, *_COUNTED)
        yield


def on_both(command: Sequence[str], head: Machine, metrics: Path) -> list[str]:
    """Turn the command of a training on this machine's CPU into one on two machines with a rank each.

    Args:
        command: verl's, with ``+device=cpu``.
        head: where Ray's head runs, and the command shall.
        metrics: file for verl's metrics; on a cluster, the process that writes them does not inherit this environment.
    """
    nodes = ["+device=cpu_cluster", "trainer.nnodes=2", "trainer.n_gpus_per_node=1", REPEATABLE]
    variable = "+ray_kwargs.ray_init.runtime_env.env_vars.VERL_FILE_LOGGER_PATH"
    return head.command(
        [argument for argument in command if argument != "+device=cpu"] + nodes + [f"{variable}={metrics}"]
    )


def on_one(command: Sequence[str]) -> list[str]:
    """The same training with both ranks on this machine.

    Args:
        command: verl's, with ``+device=cpu``.
    """
    return [*command, "trainer.n_gpus_per_node=2", REPEATABLE]
