# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The response tokens of a batch: what the way from hidden states to weights takes along."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Tokens:
    """Response tokens, as far as they are on this rank.

    Hidden states are large and never copied: tokens refer to them by rows, and so does every part of the tokens.

    Attributes:
        hidden: (num_rows, d) float32, bfloat16 or float16 hidden states, on the device of the other fields or in host
            memory.
        row: (n,) int64, where in ``hidden`` each token's state is.
        group: (n,) int64 prompt group of each token, in [0, num_groups).
        positive: (n,) bool, whether the token's sequence is positive.
        key: (n,) int64, identity of each token, the same on any rank and in any order of the batch.
        num_groups: number of groups, those of other ranks included.
    """

    hidden: Tensor
    row: Tensor
    group: Tensor
    positive: Tensor
    key: Tensor
    num_groups: int

    def where(self, wanted: Tensor) -> "Tokens":
        """The tokens for which ``wanted``, (n,) bool, is true, in their order."""
        return Tokens(
            self.hidden, self.row[wanted], self.group[wanted], self.positive[wanted], self.key[wanted], self.num_groups
        )

    def without(self, rows: Tensor) -> "Tokens":
        """The tokens less those whose states are in some rows, (r,) int64, in their order."""
        wanted = torch.ones(len(self.hidden), dtype=torch.bool, device=self.row.device)
        wanted[rows] = False
        return self.where(wanted[self.row])

    def of_groups(self, wanted: Tensor) -> "Tokens":
        """The tokens of some groups, group after group.

        Args:
            wanted: (num_groups,) bool; the groups for which it is true are numbered 0, 1, ... in their order.
        """
        number = (wanted.cumsum(0) - 1)[self.group]
        index = torch.nonzero(wanted[self.group]).squeeze(1)
        index = index[torch.argsort(number[index], stable=True)]
        return Tokens(
            self.hidden, self.row[index], number[index], self.positive[index], self.key[index], int(wanted.sum())
        )

    def counts(self) -> Tensor:
        """Number of tokens of each group on this rank, (num_groups,) int64."""
        return torch.bincount(self.group, minlength=self.num_groups)
