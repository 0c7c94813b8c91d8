# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Groups side by side on a CPU, each on one thread, in place of one group after the other on all threads.

The matrices of a group are small: threads that share one wait for each other more than they compute. And what one
thread computes does not depend, not even in its last bit, on how many there are.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")


def for_each(function: Callable[[T], None], items: Iterable[T], device: torch.device, most: int | None = None) -> None:
    """Call a function for each item: on a CPU from as many threads as torch uses, on a GPU one after the other.

    Args:
        function: to call; gradients are off in it, and inference mode is on where it is on for the caller.
        items: its arguments.
        device: where it computes.
        most: calls at a time, for want of memory.

    Raises:
        Exception: that of the first call that fails.
    """
    items, threads = list(items), torch.get_num_threads()
    mode = torch.inference_mode if torch.is_inference_mode_enabled() else torch.no_grad  # each thread has its own
    with mode():
        if device.type != "cpu" or threads == 1 or most == 1:
            for item in items:
                function(item)
            return
    try:
        with ThreadPoolExecutor(
            min(threads, most or threads), initializer=torch.set_num_threads, initargs=(1,)
        ) as pool:
            for _ in pool.map(mode()(function), items):
                pass
    finally:
        torch.set_num_threads(threads)  # threads that are born later take over the number that was set last
