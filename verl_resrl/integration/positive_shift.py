# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""How far an update has moved the positive responses: Lazy Likelihood Displacement, seen from the loss."""

import torch
from tensordict import TensorDict
from torch import Tensor

from verl_resrl.algorithm.exchange import Exchange
from verl_resrl.integration.batch import positive_tokens


class PositiveShift:
    """Mean of log pi_new - log pi_old over the tokens of positive sequences (arXiv 2505.18830).

    It falls below 0 when learning from wrong responses makes right ones less likely. It is read where every loss of
    verl is computed, so that it is there under any ``policy_loss.loss_mode``.

    Args:
        positive_threshold: a sequence is positive when its outcome score is above. The sign of its advantage would not
            tell: a right response that is longer than the others may have a negative one.
    """

    def __init__(self, positive_threshold: float) -> None:
        self._threshold = positive_threshold
        self._sum: Tensor | float = 0.0
        self._tokens: Tensor | int = 0

    def add(self, log_probs: Tensor, data: TensorDict) -> None:
        """Add a micro-batch; what is added up stays on its device until it is asked for.

        Args:
            log_probs: jagged (num_sequences, length) under the current policy, the value for a token one before it.
            data: has prompts, response_mask, old_log_probs and rm_scores (jagged).
        """
        lengths = [data[name].offsets().diff().tolist() for name in ("prompts", "response_mask")]
        rows = zip(log_probs.unbind(), *lengths, strict=True)
        new = torch.cat([row.detach()[prompt - 1 : prompt - 1 + response] for row, prompt, response in rows])
        old, mask = (torch.cat(list(data[name].unbind())) for name in ("old_log_probs", "response_mask"))
        positive = positive_tokens(data, self._threshold).to(mask.device) & mask.bool()
        self._sum = self._sum + torch.where(positive, new.float() - old, 0.0).sum(dtype=torch.float64)
        self._tokens = self._tokens + positive.sum()

    def mean(self, exchange: Exchange) -> float | None:
        """The mean over all ranks; None if there is no such token."""
        total, tokens = exchange.sum(
            torch.tensor([float(self._sum), float(self._tokens)], dtype=torch.float64)
        ).tolist()
        return total / tokens if tokens else None
