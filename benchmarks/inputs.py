# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Seeded synthetic hidden states that look like a language model's, with their sequences and groups."""

from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.record import Size
from verl_resrl import ResRLConfig

FACTORS = 512  # directions that the tokens of a group share
SPECTRUM_DECAY = 0.7  # the i-th of them has size i ** -SPECTRUM_DECAY
NOISE = 0.03  # typical size of what is a token's own, in each dimension
# dimensions with massive activations (Sun et al., arXiv 2402.17762), the same in every token
MASSIVE = (40.0, -25.0, 15.0)


@dataclass(frozen=True)
class Inputs:
    """Arguments of ``token_weights``, in its order.

    Attributes:
        hidden: (num_tokens, d) float32 or bfloat16.
        sequence_ids: (num_tokens,) int64.
        group_ids: (num_sequences,) int64.
        is_positive: (num_sequences,) bool.
    """

    hidden: Tensor
    sequence_ids: Tensor
    group_ids: Tensor
    is_positive: Tensor

    @property
    def arguments(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The four tensors."""
        return self.hidden, self.sequence_ids, self.group_ids, self.is_positive

    def first_groups(self, count: int) -> "Inputs":
        """Return the tokens of the first groups only: weights of a group do not depend on other groups."""
        sequences = int((self.group_ids < count).sum())
        tokens = self.sequence_ids < sequences
        return Inputs(
            self.hidden[tokens], self.sequence_ids[tokens], self.group_ids[:sequences], self.is_positive[:sequences]
        )


def make_inputs(size: Size, device: str, seed: int = 0) -> Inputs:
    """Make the inputs of one problem.

    A token is mean + shared directions of its group with a power-law spectrum + noise of its own, whose size differs
    from token to token, + a few massive dimensions.

    Args:
        size: of the problem.
        device: of the tensors.
        seed: of the values.

    Returns:
        Inputs; sequences group after group, tokens sequence after sequence.

    Raises:
        ValueError: a group has more positive tokens than enter its subspace: methods would not see the same ones.
    """
    positive_tokens = size.rollouts // 2 * size.response_tokens
    if positive_tokens > ResRLConfig.max_positive_tokens:
        raise ValueError(
            f"{positive_tokens} positive tokens a group are more than the {ResRLConfig.max_positive_tokens} of "
            "max_positive_tokens; take fewer rollouts or shorter responses"
        )
    generator = torch.Generator(device).manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, device=device)

    sequences = size.groups * size.rollouts
    factors = min(FACTORS, size.d)
    spectrum = torch.arange(1, factors + 1, device=device).float() ** -SPECTRUM_DECAY
    mean = normal(size.d)
    mean[: len(MASSIVE)] += torch.tensor(MASSIVE, device=device)
    hidden = torch.empty(size.tokens, size.d, dtype=size.dtype, device=device)
    # one group at a time: all of them in float32 would need several times the memory of the result
    for tokens in hidden.chunk(size.groups):
        directions = normal(factors, size.d)
        noise = NOISE * (0.5 * normal(len(tokens), 1)).exp() * normal(len(tokens), size.d)
        tokens.copy_(mean + normal(len(tokens), factors) * spectrum @ directions + noise)
    return Inputs(
        hidden=hidden,
        sequence_ids=torch.arange(sequences, device=device).repeat_interleave(size.response_tokens),
        group_ids=torch.arange(size.groups, device=device).repeat_interleave(size.rollouts),
        is_positive=torch.arange(size.rollouts, device=device).repeat(size.groups) < size.rollouts // 2,
    )
