# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Settings of ResRL: what a user may change, with the paper's values as defaults."""

import math
from dataclasses import dataclass

ON_FAILURE = ("stop", "fallback")
HIDDEN_OFFLOAD = ("auto", "cpu", "device")
SCORES = {  # what each weighting looks at
    "residual": "residual",
    "uniform": "residual",
    "entropy": "entropy",
    "interference": "interference",
    "interference_reversed": "interference",
    "nthr": "interference",
}
WEIGHTING = tuple(SCORES)
NEED_LOGITS = tuple(name for name, score in SCORES.items() if score == "interference")
HIDDEN_STATE_AT = ("predicting", "consuming")
LAYERS = ("last", "penultimate", "middle")


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
        hidden_offload: where hidden states wait until those of the whole batch are there: "device", "cpu" (pinned
            host memory), or "auto", which takes the device if they need less than half of its free memory.
        on_failure: what to do about numbers that are not finite: "stop", or "fallback". Then groups with such hidden
            states get the weight 1, an update with such a loss or gradient is tried again with weights 1, and both
            are counted. Responses that are missing because their reward failed are treated alike: "stop", or count.
        weighting: what decides about the weight of a negative token: "residual" is ResRL; "interference" takes what
            pushing the token down does to the positive ones, see ``verl_resrl.algorithm.interference``, most harm,
            least penalty; "nthr" is NTHR's threshold on the same score (arXiv 2505.18830). Controls, see
            ``verl_resrl.algorithm.controls``: "uniform" (every negative token gets its group's mean weight),
            "entropy" (the old policy's entropy in place of the residual) and "interference_reversed" (most harm, most
            penalty).
        shuffle: the control of any weighting: its weights permuted within the group.
        beta: NTHR's factor on its threshold; used by "nthr" alone.
        top_tokens: m, the most likely tokens of a prediction that interference looks at, beside the token itself;
            used by the weightings that need interference.
        hidden_state_at: the state that stands for a token: "predicting", at the position whose logits predict it, one
            before its own, or "consuming", at its own position: the first state that has seen it. The model runs on
            every token of a response, so the last one has a consuming state too.
        layer: the decoder layer whose input is the hidden state, in terms of Hugging Face's ``hidden_states`` of a
            model of L layers: "last" is ``hidden_states[-2]``, "penultimate" is ``hidden_states[-3]``, "middle" is
            ``hidden_states[L // 2]``, and an integer i is ``hidden_states[i]``. Index 0 is the embeddings; index L,
            also known as -1, is what comes out of the model after the final norm, the input of no layer, and refused.
        measure_lld: measure by one more forward pass on the positive sequences how far an update has moved their
            log-likelihood; see ``verl_resrl.algorithm.lld``. Where an engine has whole logits, interference is
            computed to set beside it, whatever decides about weights.

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
    hidden_offload: str = "auto"
    on_failure: str = "stop"
    weighting: str = "residual"
    shuffle: bool = False
    beta: float = 1.0
    top_tokens: int = 32
    hidden_state_at: str = "predicting"
    layer: str | int = "last"
    measure_lld: bool = False

    def __post_init__(self) -> None:
        for name, low in (("rank", 1), ("min_positive_tokens", 2), ("top_tokens", 1)):
            _require_integer(name, getattr(self, name), low)
        _require_integer("max_positive_tokens", self.max_positive_tokens, self.min_positive_tokens)
        _require_number("q_low", self.q_low, 0.0, 1.0)
        _require_number("q_high", self.q_high, 0.0, 1.0)
        if self.q_low >= self.q_high:
            raise ValueError(f"ResRL: q_low={self.q_low} must be in [0, q_high), and q_high is {self.q_high}")
        _require_number("xi", self.xi, 0.0, 1.0)
        _require_number("lambda_pos", self.lambda_pos, 0.0, math.inf)
        _require_number("positive_threshold", self.positive_threshold, -math.inf, math.inf)
        _require_number("beta", self.beta, 0.0, math.inf)
        _require_number("max_workspace_gb", self.max_workspace_gb, 0.0, math.inf)
        _require_one_of("hidden_offload", self.hidden_offload, HIDDEN_OFFLOAD)
        _require_one_of("on_failure", self.on_failure, ON_FAILURE)
        _require_one_of("weighting", self.weighting, WEIGHTING)
        _require_one_of("hidden_state_at", self.hidden_state_at, HIDDEN_STATE_AT)
        if isinstance(self.layer, bool) or not (isinstance(self.layer, int) or self.layer in LAYERS):
            raise ValueError(f"ResRL: layer={self.layer!r} must be an integer or one of {', '.join(LAYERS)}")
        for name in ("shuffle", "measure_lld"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"ResRL: {name}={getattr(self, name)!r} must be True or False")


def _require_one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"ResRL: {name}={value!r} must be one of {', '.join(allowed)}")


def _require_integer(name: str, value: object, low: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise ValueError(f"ResRL: {name}={value!r} must be an integer in [{low}, infinity)")


def _require_number(name: str, value: object, low: float, high: float) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not low <= value <= high:  # type: ignore[arg-type,operator]
        raise ValueError(f"ResRL: {name}={value!r} must be a finite number in [{low}, {high}]")
