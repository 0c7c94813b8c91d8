# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Time and peak memory of a call, on a GPU and without one."""

import json
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

QUANTILES = {"seconds": 0.5, "seconds_q20": 0.2, "seconds_q80": 0.8}


def interleaved_seconds(calls: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, dict[str, float]]:
    """Time several methods in turns, so that whatever slows the machine down for a while meets all of them.

    Args:
        calls: the methods by name; each is called once before, to warm up.
        repeats: timed calls of each method.

    Returns:
        By name of the method: median, 20 % and 80 % quantile, in seconds.
    """
    for call in calls.values():
        call()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            _synchronize()
            begin = time.perf_counter()
            call()
            _synchronize()
            seconds[name].append(time.perf_counter() - begin)
    return {name: _quantiles(values) for name, values in seconds.items()}


def peak_bytes(call: Callable[[], object], device: str, groups: int = 1) -> int:
    """Measure the most memory that tensors took at one time during a call, beyond what they took before it.

    Both devices count what PyTorch allocates for tensors, intermediate ones within an operator included, not what
    other libraries take behind its back. The resident size of the process, which would include that, hardly ever
    shrinks and so hides whatever fits into memory that was freed before.

    Args:
        call: what to measure.
        device: ``cuda`` or ``cpu``.
        groups: that the call works on side by side on a CPU, where only tensors of the calling thread are seen: it is
            called with one thread, whose peak counts once for each that torch has otherwise. That is an upper bound.

    Returns:
        Bytes.
    """
    if device == "cuda":
        _synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        result = call()
        _synchronize()
        del result  # alive until here: what a method returns is part of what it takes
        return torch.cuda.max_memory_allocated() - before
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if groups > 1 else threads)
    try:
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
            call()
    finally:
        torch.set_num_threads(threads)
    return min(threads, groups) * _peak(_memory_events(profiler))


def _peak(events: list[dict]) -> int:
    """Largest total beyond the one before the first event: totals go on from one profiled call to the next."""
    if not events:
        return 0
    first = events[0]["args"]
    before = first["Total Allocated"] - first["Bytes"]
    return max(event["args"]["Total Allocated"] for event in events) - before


def _memory_events(profiler: profile) -> list[dict]:
    """Allocations and releases of the profiled call in time; only the exported trace has them one by one."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "trace.json")
        profiler.export_chrome_trace(str(path))
        trace = json.loads(path.read_text(encoding="utf-8"))
    events = [event for event in trace["traceEvents"] if event["name"] == "[memory]"]
    return sorted(events, key=lambda event: event["ts"])


def _synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _quantiles(values: list[float]) -> dict[str, float]:
    seconds = torch.tensor(values, dtype=torch.float64)
    return {name: float(seconds.quantile(quantile)) for name, quantile in QUANTILES.items()}
