# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""A node that is lost ends the run: verl goes on waiting for the responses that were being made there.

A callback of Hydra, beside ``start_checks``: in verl's own process, a thread asks Ray now and then whether an actor of
this run was on a node that is gone.
"""

import os
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

import ray
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

SECONDS_BETWEEN_LOOKS = 5.0


class LostNode(Callback):
    """Watch the nodes of a run on several machines."""

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Called by Hydra after composing the configuration and before verl's main function."""
        if config.trainer.nnodes > 1:
            threading.Thread(target=watch, name="verl_resrl lost node", daemon=True).start()


def watch() -> None:
    """Look until a node is lost, and end this process then; Ray ends the actors of a run whose driver is gone."""
    from ray._private import state

    used: set[str] = set()
    while True:
        time.sleep(SECONDS_BETWEEN_LOOKS)
        if not ray.is_initialized():
            continue
        try:
            used |= nodes_of(state.actors().values(), ray.get_runtime_context().get_job_id())
            lost = sorted(n["NodeManagerAddress"] for n in ray.nodes() if n["NodeID"] in used and not n["Alive"])
        except (AttributeError, KeyError, TypeError) as error:  # its table of actors is not part of its interface
            print(f"WARNING: this Ray does not say which nodes a run uses ({error!r}): one that is lost goes unnoticed")
            return
        except Exception:  # Ray is ending, or its head is gone, which verl's process hears of by itself
            continue
        if lost:
            print(
                f"error: Ray lost the node {', '.join(lost)}, which had processes of this run: start it again, on as "
                "many nodes, with the same command, and the run continues from its last checkpoint",
                file=sys.stderr,
                flush=True,
            )
            os._exit(1)  # the main thread waits for what will not come


def nodes_of(actors: Iterable[Mapping[str, Any]], job: str) -> set[str]:
    """Tell the nodes on which a job has actors; those of other jobs may come and go.

    Args:
        actors: of Ray's table.
        job: the job's id.
    """
    return {actor["Address"]["NodeID"] for actor in actors if actor["JobID"] == job and actor["State"] != "DEAD"}
