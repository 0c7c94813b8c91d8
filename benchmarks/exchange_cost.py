# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""What data-parallel ranks send each other for the weights of a step: processes over gloo, or GPUs over NCCL."""

import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist

from benchmarks.inputs import make_inputs
from benchmarks.record import Case, Measurement, Size, measurements, ratios
from verl_resrl import ResRLConfig, token_weights
from verl_resrl.algorithm.exchange import Exchange
from verl_resrl.algorithm.sampling import hash64

RANKS = (1, 2, 4, 8)
SIZE = {
    "cuda": Size(64, 8, 1024, 2560, 64, torch.bfloat16),
    "cpu": Size(4, 8, 1024, 512, 32, torch.bfloat16),
}
MOST_PROCESSES = 4  # on a CPU
REPEATS = 5


def exchange_cases(device: str) -> list[Case]:
    """List the numbers of ranks; on GPUs, as many as there are.

    Args:
        device: ``cuda`` or ``cpu``.
    """
    most = torch.cuda.device_count() if device == "cuda" else MOST_PROCESSES
    names = {ranks: f"{ranks} rank{'s' if ranks > 1 else ''}" for ranks in RANKS if ranks <= most}
    return [
        Case("exchange", name, partial(measure, name, ranks, SIZE[device], device)) for ranks, name in names.items()
    ]


def measure(case: str, ranks: int, size: Size, device: str) -> list[Measurement]:
    """Compute the weights of one batch whose sequences are dealt out to the ranks in turn.

    Args:
        case: of the measurements.
        ranks: number of processes.
        size: of the whole batch.
        device: ``cuda`` or ``cpu``.

    Returns:
        ``seconds`` of a step and ``exchange_seconds`` of it, of the slowest rank; ``sent_bytes`` of all ranks
        together; and, as a method of its own, the bound on the states among them: groups x positive tokens x d.
    """
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(_run_rank, args=(ranks, size, device, folder), nprocs=ranks)
        of_ranks = [torch.load(Path(folder, f"{rank}.pt")) for rank in range(ranks)]
    values = {name: max(rank[name] for rank in of_ranks) for name in ("seconds", "exchange_seconds")}
    values["sent_bytes"] = sum(rank["sent_bytes"] for rank in of_ranks)
    states = size.groups * (size.rollouts // 2 * size.response_tokens) * size.d * size.dtype.itemsize
    rows = measurements("exchange", case, "resrl", size, values)
    rows += measurements("exchange", case, "bound", size, {"sent_bytes": float(states)})
    return rows + ratios(rows, "bound")


def _run_rank(rank: int, ranks: int, size: Size, device: str, folder: str) -> None:
    backend = "gloo" if device == "cpu" else "nccl"
    place = torch.device("cpu") if device == "cpu" else torch.device("cuda", rank)
    if device == "cuda":
        torch.cuda.set_device(place)
    torch.set_num_threads(1)
    dist.init_process_group(backend, rank=rank, world_size=ranks, init_method=f"file://{folder}/rendezvous")
    inputs = make_inputs(size, "cpu")
    own = torch.arange(len(inputs.group_ids)) % ranks == rank
    tokens = own[inputs.sequence_ids]
    arguments = (
        inputs.hidden[tokens].to(place),
        (own.cumsum(0) - 1)[inputs.sequence_ids[tokens]].to(place),
        inputs.group_ids[own].to(place),
        inputs.is_positive[own].to(place),
    )
    keys = hash64(tokens.nonzero().squeeze(1)).to(place)
    results: dict[str, list[float]] = {"seconds": [], "exchange_seconds": [], "sent_bytes": []}
    for _ in range(REPEATS + 1):  # the first is to warm up
        exchange = Exchange(dist.group.WORLD, place)
        dist.barrier()
        begin = time.perf_counter()
        token_weights(*arguments, config=ResRLConfig(rank=size.k), token_keys=keys, exchange=exchange).weights.cpu()
        results["seconds"].append(time.perf_counter() - begin)
        results["exchange_seconds"].append(exchange.seconds)
        results["sent_bytes"].append(exchange.bytes_sent)
    torch.save({name: statistics.median(values[1:]) for name, values in results.items()}, f"{folder}/{rank}.pt")
    dist.destroy_process_group()
