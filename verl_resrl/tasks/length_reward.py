# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The length scale of positive rewards as a pure function."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LengthScale:
    """Factor on the reward of correct but long responses (ResRL, arXiv 2605.00380, length-scaled reward).

    Attributes:
        start: response tokens up to which the factor is 1.
        end: response tokens from which the factor is ``floor``; in between it falls linearly.
        floor: the smallest factor.

    Raises:
        ValueError: a value is out of range; the message names it.
    """

    start: int = 3500
    end: int = 4096
    floor: float = 0.7

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise ValueError(f"ResRL: length scale needs 0 <= start < end, not start={self.start}, end={self.end}")
        if not 0 <= self.floor <= 1:
            raise ValueError(f"ResRL: length scale floor={self.floor} must be in [0, 1]")

    def factor(self, num_tokens: int) -> float:
        """Return the factor for a response of ``num_tokens`` tokens, in [floor, 1]."""
        share = (num_tokens - self.start) / (self.end - self.start)
        return 1.0 - (1.0 - self.floor) * min(max(share, 0.0), 1.0)

    def scale(self, reward: float, num_tokens: int) -> float:
        """Return the reward of a response of ``num_tokens`` tokens; only positive rewards are scaled."""
        return reward * self.factor(num_tokens) if reward > 0 else reward
