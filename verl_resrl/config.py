# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Settings of ResRL: what a user may change, with the paper's values as defaults."""

import math
from dataclasses import dataclass

ON_FAILURE = ("stop", "fallback")


@dataclass(frozen=True)
class ResRLConfig:
    """Settings of negative sample projection residual RL (ResRL, arXiv 2605.00380).

    Attributes:
        rank: k, number of directions of the positive subspace. A group uses
            ``min(rank, positive tokens - 1, hidden size)`` of them.
        max_positive_tokens: at most so many positive tokens of a group enter its subspace; more are
            sampled uniformly without replacement.
        min_positive_tokens: a group with fewer positive tokens is inactive (all its weights are 1).
        q_low: quantile of the group's negative residuals that is mapped to the weight ``xi``.
        q_high: quantile of the group's negative residuals that is mapped to the weight 1.
        xi: the floor, weight of a negative token that lies in the positive subspace.
        lambda_pos: factor on the advantage of positive sequences.
        positive_threshold: a sequence is positive when its outcome score is above this.
        max_workspace_gb: 10^9 bytes that fitting the subspaces may use at one time; less is slower, and the weights
            are the same.
        on_failure: what to do about numbers that are not finite: "stop", or "fallback". Then groups with such hidden
            states get the weight 1, an update with such a loss or gradient is tried again with weights 1, and both
            are counted.

    Raises:
        ValueError: a value is out of range; the message names the field, the value and the range.
    """

    rank: int = 64
    max_positive_tokens: int = 4096
    min_positive_tokens: int = 4
    q_low: float = 0.2
    q_high: float = 0.8
    xi: float = 0.1
    lambda_pos: float = 0.1
    positive_threshold: float = 0.0
    max_workspace_gb: float = 1.0
    on_failure: str = "stop"

    def __post_init__(self) -> None:
        for name, low in (("rank", 1), ("min_positive_tokens", 2)):
            _require_integer(name, getattr(self, name), low)
        _require_integer("max_positive_tokens", self.max_positive_tokens, self.min_positive_tokens)
        _require_number("q_low", self.q_low, 0.0, 1.0)
        _require_number("q_high", self.q_high, 0.0, 1.0)
        if self.q_low >= self.q_high:
            raise ValueError(f"ResRL: q_low={self.q_low} must be in [0, q_high), and q_high is {self.q_high}")
        _require_number("xi", self.xi, 0.0, 1.0)
        _require_number("lambda_pos", self.lambda_pos, 0.0, math.inf)
        _require_number("positive_threshold", self.positive_threshold, -math.inf, math.inf)
        _require_number("max_workspace_gb", self.max_workspace_gb, 0.0, math.inf)
        if self.on_failure not in ON_FAILURE:
            raise ValueError(f"ResRL: on_failure={self.on_failure!r} must be one of {', '.join(ON_FAILURE)}")


def _require_integer(name: str, value: object, low: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise ValueError(f"ResRL: {name}={value!r} must be an integer in [{low}, infinity)")


def _require_number(name: str, value: object, low: float, high: float) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not low <= value <= high:  # type: ignore[arg-type,operator]
        raise ValueError(f"ResRL: {name}={value!r} must be a finite number in [{low}, {high}]")
