# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Residuals -> quantiles -> weights, and ``token_weights``, the public door to the whole computation.

ResRL (arXiv 2605.00380): w = xi + (1 - xi) z with z the residual, clamped and scaled between two quantiles of the
residuals of the group's negative tokens.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from verl_resrl.config import ResRLConfig
from verl_resrl.residual import choose_backend, residual_and_alignment
from verl_resrl.sampling import hash64, positions_in_runs, smallest_keys_per_group
from verl_resrl.subspace import fit_subspaces

# relative on purpose: massive activations shrink residuals by orders of magnitude, not their information
DEGENERATE_SPREAD = 1e-4


@dataclass(frozen=True)
class TokenWeights:
    """What ResRL says about each token.

    Attributes:
        weights: (num_tokens,) float32 in [xi, 1]; 1 for tokens of positive sequences and of inactive groups.
        residual: (num_tokens,) float32, e; NaN where the group has no basis.
        alignment: (num_tokens,) float32, a; NaN likewise.
        active: (num_groups,) bool, in the order of the sorted unique group ids: groups that got weights.
    """

    weights: Tensor
    residual: Tensor
    alignment: Tensor
    active: Tensor


def token_weights(
    hidden: Tensor,
    sequence_ids: Tensor,
    group_ids: Tensor,
    is_positive: Tensor,
    config: ResRLConfig | None = None,
    backend: str = "auto",
    seed: int = 0,
    token_keys: Tensor | None = None,
) -> TokenWeights:
    """Compute the ResRL weight of every response token (arXiv 2605.00380).

    Args:
        hidden: (num_tokens, hidden_size) float32 or bfloat16: the input of the last decoder layer at the position
            that predicts the token; response tokens of all sequences, in any order.
        sequence_ids: (num_tokens,) int64, the sequence of each token.
        group_ids: (num_sequences,) int64, the prompt group of each sequence.
        is_positive: (num_sequences,) bool, whether the sequence is correct.
        config: settings; the paper's by default.
        backend: "auto", "torch" or "triton"; "auto" is Triton for bfloat16 on a GPU and torch otherwise.
        seed: seed of the choice of positive tokens and of the start of the subspace iteration.
        token_keys: (num_tokens,) int64, identity of each token, for the choice of at most
            ``max_positive_tokens`` positive tokens. By default (sequence id, occurrence within the sequence).

    Returns:
        TokenWeights, on the device of ``hidden``.

    Raises:
        ValueError: a shape or dtype is wrong, the backend cannot run here, or a hidden state is not finite.
    """
    config = ResRLConfig() if config is None else config
    _check_arguments(hidden, sequence_ids, group_ids, is_positive, config, token_keys)
    backend = choose_backend(backend, hidden, min(config.rank, hidden.shape[1]))
    _, group_of_sequence = torch.unique(group_ids, return_inverse=True)
    group = group_of_sequence[sequence_ids]
    positive = is_positive[sequence_ids]
    active = active_groups(group, positive, int(group_of_sequence.max()) + 1 if len(group_ids) else 0, config)

    weights = hidden.new_ones(len(hidden), dtype=torch.float32)
    residual = torch.full_like(weights, torch.nan)
    alignment = torch.full_like(weights, torch.nan)
    result = TokenWeights(weights, residual, alignment, active)
    if not active.any():
        return result

    number = active.cumsum(0) - 1  # active groups are numbered 0, 1, ...
    rows = torch.nonzero(active[group]).squeeze(1)
    rows = rows[torch.argsort(group[rows], stable=True)]
    active_count = int(active.sum())
    counts = torch.bincount(number[group[rows]], minlength=active_count)

    candidates = rows[positive[rows]]
    if token_keys is None:
        token_keys = hash64(sequence_ids, positions_in_runs(sequence_ids))
    keys = hash64(token_keys[candidates], seed)
    chosen = candidates[smallest_keys_per_group(group[candidates], keys, config.max_positive_tokens)]
    chosen_counts = torch.bincount(number[group[chosen]], minlength=active_count)

    subspaces = fit_subspaces(hidden, chosen, chosen_counts, config.rank, seed, config.max_workspace_gb)
    e, a = residual_and_alignment(hidden, rows, counts, subspaces, backend)
    if not (torch.isfinite(e).all() and torch.isfinite(a).all()):
        raise ValueError("ResRL: a hidden state of a response token is NaN or infinite; check the model's forward")
    residual[rows], alignment[rows] = e, a
    negative = ~positive[rows]
    weights[rows[negative]] = residual_to_weight(e[negative], number[group[rows[negative]]], active_count, config)
    return result


def active_groups(group: Tensor, positive: Tensor, num_groups: int, config: ResRLConfig) -> Tensor:
    """Tell which groups get weights: enough positive tokens and at least one negative token.

    Args:
        group: (num_tokens,) int64 group of each token, in [0, num_groups).
        positive: (num_tokens,) bool, whether the token's sequence is positive.
        num_groups: number of groups.
        config: settings.

    Returns:
        (num_groups,) bool.
    """
    positives = torch.bincount(group[positive], minlength=num_groups)
    negatives = torch.bincount(group[~positive], minlength=num_groups)
    return (positives >= config.min_positive_tokens) & (negatives > 0)


def residual_to_weight(residual: Tensor, group: Tensor, num_groups: int, config: ResRLConfig) -> Tensor:
    """Map residuals of negative tokens to weights, group by group (arXiv 2605.00380).

    Args:
        residual: (n,) float32 >= 0.
        group: (n,) int64 group of each token, in [0, num_groups).
        num_groups: number of groups.
        config: settings.

    Returns:
        (n,) float32 in [xi, 1]; (1 + xi) / 2 throughout a group whose residuals hardly differ.
    """
    low, high = grouped_quantiles(residual, group, num_groups, (config.q_low, config.q_high)).unbind(1)
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
