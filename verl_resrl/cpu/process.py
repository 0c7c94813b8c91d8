# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""What a process of a CPU run needs of torch: its threads, and its place among the ranks."""

import os

import psutil
import ray
import torch.distributed


def use_all_cores() -> None:
    """Let this process compute on every core that it may use, unless torch.distributed shares them with others.

    Training and generation take turns, so that each may have all of them.
    """
    ranks = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch.set_num_threads(max(cores // ranks, 1))


def is_worker() -> bool:
    """Tell whether this is a process of one of verl's worker groups, which train."""
    return os.environ.get("WG_BACKEND") == "ray"


def start_process_group() -> None:
    """Start torch.distributed in a worker process, before verl does.

    verl asks for the backend "cpu:gloo,cpu:gloo", which torch rejects; it uses a group that exists already.
    """
    if is_worker() and not torch.distributed.is_initialized():
        # by itself, gloo takes the address of the host's name, which is a loopback one on many systems: the ranks of
        # other nodes cannot reach it
        interface = interface_of(ray.util.get_node_ip_address())
        if interface is not None:
            os.environ.setdefault("GLOO_SOCKET_IFNAME", interface)
        torch.distributed.init_process_group(
            backend="cpu:gloo", rank=int(os.environ["RANK"]), world_size=int(os.environ["WORLD_SIZE"])
        )


def interface_of(address: str) -> str | None:
    """Tell which network interface of this machine has an address.

    Args:
        address: such as the one by which Ray's other nodes reach this one.

    Returns:
        The interface's name, or None if none has it.
    """
    for name, addresses in psutil.net_if_addrs().items():
        if any(own.address == address for own in addresses):
            return name
    return None
