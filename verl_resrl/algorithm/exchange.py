# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Rows of tensors between the ranks that hold parts of one batch.

A prompt's responses may lie on any rank, and its subspace and quantiles need all of them. Three plain collectives of
``torch.distributed`` do it, over gloo or NCCL; every rank calls them in the same order, with no rows if it has none.
"""

import time

import torch
import torch.distributed as dist
from torch import Tensor


class Exchange:
    """Collectives over a process group; without one, or with one rank, they return their input.

    Args:
        process_group: ranks that hold parts of the batch.
        device: where the group's backend takes tensors ("cpu" for gloo, a GPU for NCCL); results go back to the
            device of the input.

    Attributes:
        size: number of ranks.
        rank: of this process among them.
        bytes_sent: bytes that this rank has sent to others.
        seconds: time spent so far, including the wait for others.
    """

    def __init__(self, process_group: dist.ProcessGroup | None = None, device: torch.device | str = "cpu") -> None:
        self._group, self._device = process_group, torch.device(device)
        self.size = 1 if process_group is None else dist.get_world_size(process_group)
        self.rank = 0 if process_group is None else dist.get_rank(process_group)
        self.bytes_sent, self.seconds = 0, 0.0

    def sum(self, values: Tensor) -> Tensor:
        """Add up a tensor of the same shape on every rank.

        Args:
            values: (...) int64 or float64.
        """
        if self.size == 1:
            return values
        begin = time.perf_counter()
        total = values.to(self._device, copy=True)
        dist.all_reduce(total, group=self._group)
        self._count(total.numel() * total.element_size() * (self.size - 1), begin)
        return total.to(values.device)

    def gather(self, rows: Tensor) -> Tensor:
        """Put the rows of all ranks one after the other.

        Args:
            rows: (n, ...), n may differ between ranks.

        Returns:
            (sum of n, ...), the same on every rank.
        """
        if self.size == 1:
            return rows
        begin = time.perf_counter()
        counts = torch.empty(self.size, dtype=torch.int64, device=self._device)
        dist.all_gather_into_tensor(counts, torch.tensor([len(rows)], device=self._device), group=self._group)
        most, own = int(counts.max()), self._bytes(rows)
        padded = torch.nn.functional.pad(own, (0, 0, 0, most - len(own)))
        everyone = own.new_empty(self.size * most, own.shape[1])
        dist.all_gather_into_tensor(everyone, padded, group=self._group)
        parts = everyone.view(self.size, most, -1) if most else ()
        gathered = torch.cat([own[:0], *(part[:count] for part, count in zip(parts, counts.tolist(), strict=False))])
        self._count(own.numel() * (self.size - 1), begin)
        return gathered.view(rows.dtype).reshape(-1, *rows.shape[1:]).to(rows.device)

    def send(self, rows: Tensor, destination: Tensor) -> Tensor:
        """Send each row to a rank.

        Args:
            rows: (n, ...); beyond n, the shape is the same on every rank.
            destination: (n,) int64, rank of each row.

        Returns:
            (m, ...) the rows that came here, by the rank of the sender and then in its order.
        """
        if self.size == 1:
            return rows
        begin = time.perf_counter()
        shape, dtype = rows.shape[1:], rows.dtype
        destination = destination.to(rows.device)
        if (destination.diff() < 0).any():  # else they are not copied: hidden states are large
            order = torch.argsort(destination, stable=True)
            rows, destination = rows[order], destination[order]
        sent_counts = torch.bincount(destination.to(self._device), minlength=self.size)
        received_counts = torch.empty_like(sent_counts)
        dist.all_to_all_single(received_counts, sent_counts, group=self._group)
        sent, received = sent_counts.tolist(), received_counts.tolist()
        outgoing = self._bytes(rows)
        incoming = outgoing.new_empty(sum(received), outgoing.shape[1])
        dist.all_to_all_single(incoming, outgoing, received, sent, group=self._group)
        self._count((len(outgoing) - sent[self.rank]) * outgoing.shape[1], begin)
        return incoming.view(dtype).reshape(-1, *shape).to(rows.device)

    def _bytes(self, rows: Tensor) -> Tensor:
        """(n, width) uint8: not every backend takes every dtype."""
        return rows.contiguous().unsqueeze(-1).flatten(1).to(self._device).view(torch.uint8)

    def _count(self, sent: int, begin: float) -> None:
        self.bytes_sent += sent
        self.seconds += time.perf_counter() - begin
