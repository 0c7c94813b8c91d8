# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""``token_weights``, the public door: positive tokens -> subspaces -> residuals -> quantiles -> weights.

ResRL (arXiv 2605.00380): w = xi + (1 - xi) z with z the residual, clamped and scaled between two quantiles of the
residuals of the group's negative tokens. A group may lie on several ranks; what is not local goes through an
``Exchange``, which does nothing on one rank.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from verl_resrl.algorithm.config import ResRLConfig
from verl_resrl.algorithm.exchange import Exchange
from verl_resrl.algorithm.residual import choose_backend, residual_and_alignment
from verl_resrl.algorithm.sampling import hash64, positions_in_runs
from verl_resrl.algorithm.shared_subspaces import subspaces_of_groups
from verl_resrl.algorithm.weighting import shuffled_weights, uniform_weights

# relative on purpose: massive activations shrink residuals by orders of magnitude, not their information
DEGENERATE_SPREAD = 1e-4
ROWS_AT_A_TIME = 1024  # of the check for states that are not finite, which a CPU brings to float32


class NonFiniteError(ValueError):
    """Hidden states are NaN or infinite.

    Attributes:
        sequences: (n,) int64, sequences of this rank that have such tokens; empty if only other ranks do.
    """

    def __init__(self, sequences: Tensor, message: str) -> None:
        super().__init__(message)
        self.sequences = sequences


@dataclass(frozen=True)
class TokenWeights:
    """What ResRL says about each token.

    Attributes:
        weights: (num_tokens,) float32 in [xi, 1]; 1 for tokens of positive sequences and of inactive groups.
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
) -> TokenWeights:
    """Compute the ResRL weight of every response token (arXiv 2605.00380).

    Args:
        hidden: (num_tokens, hidden_size) float32 or bfloat16: the input of the last decoder layer at the position
            that predicts the token; response tokens of all sequences, in any order. May lie in host memory while
            the other tensors lie on a GPU, which computes: then a part at a time is copied there.
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

    Returns:
        TokenWeights, on the device of ``sequence_ids``; ``active`` is that of the groups of all ranks.

    Raises:
        NonFiniteError: a hidden state is not finite, and ``config.on_failure`` is "stop"; raised on every rank.
        ValueError: a shape or dtype is wrong, or the backend cannot run here.
    """
    config = ResRLConfig() if config is None else config
    exchange = Exchange() if exchange is None else exchange
    _check_arguments(hidden, sequence_ids, group_ids, is_positive, config, token_keys, entropy)
    device = sequence_ids.device
    backend = choose_backend(backend, hidden.dtype, device, min(config.rank, hidden.shape[1]))
    if token_keys is None:
        if exchange.size > 1:
            raise ValueError("ResRL: token_keys must be given with an exchange: sequence ids are those of one rank")
        token_keys = hash64(sequence_ids, positions_in_runs(sequence_ids))

    all_group_ids = torch.unique(exchange.gather(torch.unique(group_ids)))
    group = torch.searchsorted(all_group_ids, group_ids)[sequence_ids]
    positive = is_positive[sequence_ids]
    non_finite = _non_finite_groups(hidden, sequence_ids, group, len(all_group_ids), config, exchange)
    active = active_groups(group, positive, len(all_group_ids), config, exchange) & ~non_finite

    weights = torch.ones(len(hidden), device=device)
    residual = torch.full_like(weights, torch.nan)
    alignment = torch.full_like(weights, torch.nan)
    result = TokenWeights(weights, residual, alignment, active, non_finite)
    if not active.any():
        return result

    rows = torch.nonzero(active[group]).squeeze(1)
    number = (active.cumsum(0) - 1)[group[rows]]  # active groups are numbered 0, 1, ...
    rows, number = rows[torch.argsort(number, stable=True)], number.sort().values
    subspaces, present = subspaces_of_groups(
        hidden, rows, number, positive[rows], hash64(token_keys, seed), int(active.sum()), config, seed, exchange
    )
    counts = torch.bincount(number, minlength=len(present))[present]
    e, a = residual_and_alignment(hidden, rows, counts, subspaces, backend)
    residual[rows], alignment[rows] = e, a

    negative = ~positive[rows]
    score = entropy[rows] if config.weighting == "entropy" and entropy is not None else e
    score, rows, number = score[negative], rows[negative], number[negative]
    quantiles = (config.q_low, config.q_high)
    limits = grouped_quantiles(exchange.gather(score), exchange.gather(number), len(present), quantiles)
    w = residual_to_weight(score, number, limits, config)
    if config.weighting == "uniform":
        w = uniform_weights(w, number, len(present), exchange)
    elif config.weighting == "shuffled":
        w = shuffled_weights(w, number, token_keys[rows], seed, exchange)
    weights[rows] = w
    return result


def _non_finite_groups(
    hidden: Tensor, sequence_ids: Tensor, group: Tensor, num_groups: int, config: ResRLConfig, exchange: Exchange
) -> Tensor:
    """(num_groups,) bool, on all ranks the same; every rank raises if one has to."""
    sums = [part.to(group.device).sum(1, dtype=torch.float32) for part in hidden.split(ROWS_AT_A_TIME)]
    bad = ~torch.isfinite(torch.cat(sums))
    per_group = exchange.sum(torch.bincount(group[bad], minlength=num_groups))
    if config.on_failure == "stop" and per_group.any():
        message = f"ResRL: hidden states of {int(per_group.sum())} response tokens are NaN or infinite; check the model"
        raise NonFiniteError(torch.unique(sequence_ids[bad]), message)
    return per_group > 0


def active_groups(group: Tensor, positive: Tensor, num_groups: int, config: ResRLConfig, exchange: Exchange) -> Tensor:
    """Tell which groups get weights: enough positive tokens and at least one negative token.

    Args:
        group: (num_tokens,) int64 group of each token, in [0, num_groups).
        positive: (num_tokens,) bool, whether the token's sequence is positive.
        num_groups: number of groups.
        config: settings.
        exchange: to the ranks that hold the rest of the batch.

    Returns:
        (num_groups,) bool.
    """
    positives = exchange.sum(torch.bincount(group[positive], minlength=num_groups))
    negatives = exchange.sum(torch.bincount(group[~positive], minlength=num_groups))
    return (positives >= config.min_positive_tokens) & (negatives > 0)


def residual_to_weight(residual: Tensor, group: Tensor, limits: Tensor, config: ResRLConfig) -> Tensor:
    """Map residuals of negative tokens to weights, group by group (arXiv 2605.00380).

    Args:
        residual: (n,) float32 >= 0.
        group: (n,) int64 group of each token, in [0, num_groups).
        limits: (num_groups, 2) float64, quantiles ``q_low`` and ``q_high`` of each group's residuals.
        config: settings.

    Returns:
        (n,) float32 in [xi, 1]; (1 + xi) / 2 throughout a group whose residuals hardly differ.
    """
    low, high = limits.unbind(1)
    degenerate = high - low <= DEGENERATE_SPREAD * high
    spread = torch.where(degenerate, 1.0, high - low)
    z = ((residual - low[group]) / spread[group]).clamp(0.0, 1.0)
    z = torch.where(degenerate[group], 0.5, z)
    return (config.xi + (1.0 - config.xi) * z).float()


def grouped_quantiles(values: Tensor, group: Tensor, num_groups: int, quantiles: tuple[float, ...]) -> Tensor:
    """Linear-interpolation quantiles of every group by one sort.

    Args:
        values: (n,) float32 >= 0.
        group: (n,) int64 in [0, num_groups).
        num_groups: number of groups, below 2**31.
        quantiles: each in [0, 1].

    Returns:
        (num_groups, len(quantiles)) float64, as ``torch.quantile`` has it; NaN for an empty group.
    """
    # the bits of non-negative floats sort like the floats: one int64 key holds the group and the value
    key = (group << 32) | values.clamp_min(0).contiguous().view(torch.int32).long()
    ordered = (torch.sort(key).values & 0xFFFFFFFF).int().view(torch.float32).double()
    counts = torch.bincount(group, minlength=num_groups)
    first = counts.cumsum(0) - counts
    last = (counts - 1).clamp_min(0)
    rank = torch.tensor(quantiles, dtype=torch.float64, device=values.device) * last[:, None]
    below = rank.floor().long()
    above = torch.minimum(below + 1, last[:, None])
    if not len(ordered):
        return torch.full((num_groups, len(quantiles)), torch.nan, dtype=torch.float64, device=values.device)
    limit = len(ordered) - 1
    lower = ordered[(first[:, None] + below).clamp(max=limit)]
    upper = ordered[(first[:, None] + above).clamp(max=limit)]
    result = lower + (upper - lower) * (rank - below)
    return torch.where(counts[:, None] > 0, result, torch.nan)


def _check_arguments(
    hidden: Tensor,
    sequence_ids: Tensor,
    group_ids: Tensor,
    is_positive: Tensor,
    config: ResRLConfig,
    token_keys: Tensor | None,
    entropy: Tensor | None,
) -> None:
    if not isinstance(config, ResRLConfig):
        raise ValueError(f"ResRL: config must be a ResRLConfig, not {type(config).__name__}")
    if hidden.dim() != 2 or hidden.dtype not in (torch.float32, torch.bfloat16):
        raise ValueError(f"ResRL: hidden must be (num_tokens, hidden_size) of float32 or bfloat16, not {_kind(hidden)}")
    if group_ids.dim() != 1:
        raise ValueError(f"ResRL: group_ids must be (num_sequences,) of int64, not {_kind(group_ids)}")
    _check_vector("sequence_ids", sequence_ids, len(hidden), torch.int64)
    _check_vector("group_ids", group_ids, len(group_ids), torch.int64)
    _check_vector("is_positive", is_positive, len(group_ids), torch.bool)
    if token_keys is not None:
        _check_vector("token_keys", token_keys, len(hidden), torch.int64)
    if entropy is not None:
        _check_vector("entropy", entropy, len(hidden), torch.float32)
    elif config.weighting == "entropy":
        raise ValueError("ResRL: weighting='entropy' needs entropy, (num_tokens,) of torch.float32")
    if len(sequence_ids) and not 0 <= int(sequence_ids.min()) <= int(sequence_ids.max()) < len(group_ids):
        raise ValueError(
            f"ResRL: sequence_ids must be in [0, {len(group_ids)}), the number of sequences, "
            f"not in [{int(sequence_ids.min())}, {int(sequence_ids.max())}]"
        )


def _check_vector(name: str, vector: Tensor, length: int, dtype: torch.dtype) -> None:
    if vector.shape != (length,) or vector.dtype != dtype:
        raise ValueError(f"ResRL: {name} must be ({length},) of {dtype}, not {_kind(vector)}")


def _kind(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} of {tensor.dtype}"
