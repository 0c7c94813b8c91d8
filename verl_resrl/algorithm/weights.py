# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""``token_weights``, the public door: positive tokens -> subspaces -> residuals -> weights.

A group may lie on several ranks; what is not local goes through an ``Exchange``, which does nothing on one rank.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from verl_resrl.algorithm.arguments import check_tensor, tokens_of
from verl_resrl.algorithm.config import NEED_LOGITS, SCORES, ResRLConfig
from verl_resrl.algorithm.controls import shuffled_weights
from verl_resrl.algorithm.exchange import Exchange
from verl_resrl.algorithm.groups import active_groups, non_finite_groups
from verl_resrl.algorithm.nthr import nthr_weights, share_of_right
from verl_resrl.algorithm.residual import choose_backend, residual_and_alignment
from verl_resrl.algorithm.shared_subspaces import subspaces_of_groups
from verl_resrl.algorithm.weighting import weights_of_negatives


@dataclass(frozen=True)
class TokenWeights:
    """What ResRL says about each token.

    Attributes:
        weights: (num_tokens,) float32 in [xi, 1], with ``weighting`` "nthr" in [0, 1]; 1 for tokens of positive
            sequences and of inactive groups.
        residual: (num_tokens,) float32, e; NaN where the group has no basis.
        alignment: (num_tokens,) float32, a; NaN likewise.
        active: (num_groups,) bool, in the order of the sorted unique group ids: groups that got weights.
        non_finite: (num_groups,) bool: groups that got none because of hidden states that are not finite.
    """

    weights: Tensor
    residual: Tensor
    alignment: Tensor
    active: Tensor
    non_finite: Tensor


def token_weights(
    hidden: Tensor,
    sequence_ids: Tensor,
    group_ids: Tensor,
    is_positive: Tensor,
    config: ResRLConfig | None = None,
    backend: str = "auto",
    seed: int = 0,
    token_keys: Tensor | None = None,
    exchange: Exchange | None = None,
    entropy: Tensor | None = None,
    interference: Tensor | None = None,
) -> TokenWeights:
    """Compute the ResRL weight of every response token (arXiv 2605.00380).

    Args:
        hidden: (num_tokens, hidden_size) float32, bfloat16 or float16: the input of the last decoder layer at the
            position that predicts the token; response tokens of all sequences, in any order. May lie in host memory
            while the other tensors lie on a GPU, which computes: then a part at a time is copied there.
        sequence_ids: (num_tokens,) int64, the sequence of each token.
        group_ids: (num_sequences,) int64, the prompt group of each sequence.
        is_positive: (num_sequences,) bool, whether the sequence is correct.
        config: settings; the paper's by default.
        backend: "auto", "torch" or "triton"; "auto" is Triton for bfloat16 on a GPU and torch otherwise.
        seed: seed of the choice of positive tokens and of the start of the subspace iteration.
        token_keys: (num_tokens,) int64, identity of each token, for the choice of at most
            ``max_positive_tokens`` positive tokens. By default (sequence id, occurrence within the sequence).
        exchange: to the ranks that hold the rest of the batch, each of which makes this call with its own sequences,
            ``token_keys`` and the same other arguments. On a CPU the weights are then the same to the bit as those
            of the whole batch on one rank.
        entropy: (num_tokens,) float32 >= 0, entropy of the old policy where it chose the token; taken in place of the
            residual by ``config.weighting`` "entropy", and unused otherwise.
        interference: (num_tokens,) float32, what ``interference`` returns for the same tokens; needed by
            ``config.weighting`` "interference", its reverse and "nthr", and unused otherwise. A group for which it is
            NaN counts as not finite.

    Returns:
        TokenWeights, on the device of ``sequence_ids``; ``active`` is that of the groups of all ranks.

    Raises:
        NonFiniteError: a hidden state is not finite, and ``config.on_failure`` is "stop"; raised on every rank.
        ValueError: a shape or dtype is wrong, or the backend cannot run here.
    """
    config = ResRLConfig() if config is None else config
    exchange = Exchange() if exchange is None else exchange
    tokens, group_of_sequence = tokens_of(hidden, sequence_ids, group_ids, is_positive, token_keys, config, exchange)
    _check_scores(config, entropy, interference, len(hidden))
    device = sequence_ids.device
    backend = choose_backend(backend, hidden.dtype, device, min(config.rank, hidden.shape[1]))
    active = active_groups(tokens.group, tokens.positive, tokens.num_groups, config, exchange)
    weights = torch.ones(len(hidden), device=device)
    residual, alignment = torch.full_like(weights, torch.nan), torch.full_like(weights, torch.nan)
    non_finite = torch.zeros_like(active)
    if active.any():
        tokens = tokens.of_groups(active)
        fitted = subspaces_of_groups(tokens, config, seed, exchange)
        residual[fitted.row], alignment[fitted.row] = fitted.residual, fitted.alignment
        rest = tokens.without(fitted.row)
        e, a = residual_and_alignment(hidden, rest.row, rest.counts()[fitted.present], fitted.subspaces, backend)
        residual[rest.row], alignment[rest.row] = e, a

        # a state that is not finite shows in the residuals: in its own, or in all of the group whose subspace it spans
        suspects = tokens.where(~residual[tokens.row].isfinite())
        spoiled = exchange.sum(suspects.counts()) > 0
        if spoiled.any():
            non_finite_groups(suspects, sequence_ids, config, exchange)
        if interference is not None and config.weighting in NEED_LOGITS:
            unknown = tokens.where(interference[tokens.row].isnan())
            spoiled = spoiled | (exchange.sum(unknown.counts()) > 0)
        non_finite[active] = spoiled
        rows = tokens.row[spoiled[tokens.group]]
        residual[rows] = alignment[rows] = torch.nan
        active = active & ~non_finite
    if active.any():
        tokens = tokens.of_groups(~spoiled)
        if config.weighting == "nthr":
            assert interference is not None
            share = share_of_right(group_of_sequence, is_positive, len(active), exchange)[active]
            sequence = sequence_ids[tokens.row]
            weights[tokens.row] = nthr_weights(interference[tokens.row], tokens, sequence, share, config.beta, exchange)
        negatives = tokens.where(~tokens.positive)
        if config.weighting != "nthr":
            scores = {"residual": residual, "entropy": entropy, "interference": interference}
            score = scores[SCORES[config.weighting]]
            assert score is not None
            weights[negatives.row] = weights_of_negatives(score[negatives.row], negatives, config, exchange)
        if config.shuffle:
            own = weights[negatives.row]
            weights[negatives.row] = shuffled_weights(own, negatives.group, negatives.key, seed, exchange)
    return TokenWeights(weights, residual, alignment, active, non_finite)


def _check_scores(config: ResRLConfig, entropy: Tensor | None, interference: Tensor | None, length: int) -> None:
    for name, score in (("entropy", entropy), ("interference", interference)):
        if score is not None:
            check_tensor(name, score, (length,), torch.float32)
        elif name == SCORES[config.weighting]:
            raise ValueError(f"ResRL: weighting={config.weighting!r} needs {name}, (num_tokens,) of torch.float32")
