# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Hidden states of a batch of verl -> its weights, metrics, and the fields that go back into the batch."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from verl.utils.device import get_device_id

from verl_resrl.algorithm.arguments import STATE_DTYPES
from verl_resrl.algorithm.config import ResRLConfig
from verl_resrl.algorithm.exchange import Exchange
from verl_resrl.algorithm.sampling import hash64
from verl_resrl.algorithm.weights import TokenWeights, token_weights
from verl_resrl.integration.batch import Batch, per_response_token, response_values
from verl_resrl.integration.head_tap import HeadStates
from verl_resrl.integration.metrics import group_metrics, interference_metrics, memory_metrics, weight_metrics
from verl_resrl.integration.tap import ResponseStates


@dataclass(frozen=True)
class Weighed:
    """What was computed of the wanted tokens of a batch.

    Attributes:
        out: their weights.
        interference: (num_wanted,) float32, NaN in groups without weights; None if it was not wanted.
    """

    out: TokenWeights
    interference: Tensor | None


def weights_of_batch(
    batch: Batch,
    states: ResponseStates,
    head_states: HeadStates | None,
    model_output: dict[str, Any],
    config: ResRLConfig,
    seed: int,
    exchange: Exchange,
) -> tuple[Weighed, dict[str, float]]:
    """Compute the weights of the wanted tokens of a batch.

    Args:
        batch: what ``read_batch`` made of it.
        states: hidden states of its wanted tokens.
        head_states: what the output head had and gave, if ``config.weighting`` needs it.
        model_output: of verl's old_log_prob pass; has ``entropy`` where ``config.weighting`` needs it.
        config: settings.
        seed: of the choice of positive tokens and of the subspaces.
        exchange: to the ranks that hold the rest of the batch.

    Returns:
        The weights of the wanted tokens, and metrics under ``resrl/``.

    Raises:
        NonFiniteError: a hidden state is not finite, and ``config.on_failure`` is "stop"; raised on every rank.
    """
    hidden, device = states.hidden(), torch.device(get_device_id())
    entropy = None
    if config.weighting == "entropy":  # verl's pass computes it for its own metrics
        rows = model_output["entropy"].unbind()
        entropy = response_values(rows, batch.prompt_lengths, batch.response_lengths)[batch.wanted].to(device)
    sequence_ids = states.sequence_ids.to(device)
    token_keys = hash64(batch.sequence_keys[states.sequence_ids], states.positions).to(device)
    score = None if head_states is None else head_states.interference(sequence_ids, batch, token_keys, seed, exchange)
    out = token_weights(
        hidden if hidden.dtype in STATE_DTYPES else hidden.float(),
        sequence_ids,
        batch.group_ids.to(device),
        batch.positive.to(device),
        config=config,
        seed=seed,
        token_keys=token_keys,
        exchange=exchange,
        entropy=entropy,
        interference=score,
    )
    negative = ~batch.positive[states.sequence_ids].to(device)
    metrics = group_metrics(batch, out.non_finite.cpu(), exchange)
    metrics |= weight_metrics(negative, out, hidden.shape[1], exchange)
    if score is not None:
        metrics |= interference_metrics(score[negative], exchange)
    head_bytes = 0 if head_states is None else head_states.nbytes
    return Weighed(out, score), metrics | memory_metrics(hidden, head_bytes, device)


def weight_fields(batch: Batch, weighed: Weighed) -> dict[str, Tensor]:
    """What goes beside the log-probabilities into verl's batch: one value per response token, jagged."""
    fields = {"resrl_weights": per_response_token(weighed.out.weights, batch, fill=1.0)}
    if weighed.interference is not None:
        fields["resrl_interference"] = per_response_token(weighed.interference, batch, fill=torch.nan)
    return fields


def nothing_weighed(batch: Batch, with_interference: bool) -> Weighed:
    """What there is of a batch without an active group."""
    none = torch.empty(0)
    out = TokenWeights(none, none, none, batch.active, torch.zeros_like(batch.active))
    return Weighed(out, none if with_interference else None)
