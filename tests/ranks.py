# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Processes that stand for ranks."""

import multiprocessing
from collections.abc import Callable
from typing import Any

import torch


def run_ranks(run: Callable[..., None], world_size: int, *args: Any) -> None:
    """Call ``run(rank, *args)`` in as many processes, and raise what one of them raises.

    They are forked from a process that has imported verl once: to import it in each takes longer than most tests.
    """
    multiprocessing.set_forkserver_preload(["tests.integration.engines"])
    torch.multiprocessing.start_processes(run, args, nprocs=world_size, start_method="forkserver")
