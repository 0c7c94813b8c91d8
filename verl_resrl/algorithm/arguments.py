# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The arguments that ``token_weights`` and ``interference`` have in common: checked, and turned into ``Tokens``."""

import torch
from torch import Tensor

from verl_resrl.algorithm.config import ResRLConfig
from verl_resrl.algorithm.exchange import Exchange
from verl_resrl.algorithm.sampling import hash64, positions_in_runs
from verl_resrl.algorithm.tokens import Tokens

STATE_DTYPES = (torch.float32, torch.bfloat16, torch.float16)  # of hidden states; what is computed is in float32


def check_tensor(name: str, tensor: Tensor, shape: tuple[int | str, ...], *dtypes: torch.dtype) -> None:
    """Check a shape and a dtype.

    Args:
        name: of the argument.
        tensor: the argument.
        shape: sizes; a name stands for any size.
        dtypes: those that are allowed.

    Raises:
        ValueError: it has another shape or dtype.
    """
    fits = len(tensor.shape) == len(shape) and all(
        isinstance(wanted, str) or wanted == size for wanted, size in zip(shape, tensor.shape, strict=True)
    )
    if not fits or tensor.dtype not in dtypes:
        sizes = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
        kind = " or ".join(map(str, dtypes))
        raise ValueError(f"ResRL: {name} must be ({sizes}) of {kind}, not {tuple(tensor.shape)} of {tensor.dtype}")


def tokens_of(
    hidden: Tensor,
    sequence_ids: Tensor,
    group_ids: Tensor,
    is_positive: Tensor,
    token_keys: Tensor | None,
    config: ResRLConfig,
    exchange: Exchange,
    name: str = "hidden",
) -> tuple[Tokens, Tensor]:
    """Check what the doors are given, and number the groups of all ranks.

    Args:
        hidden: (num_tokens, d) of one of ``STATE_DTYPES``, as in ``token_weights``, as all others.
        sequence_ids: (num_tokens,) int64.
        group_ids: (num_sequences,) int64.
        is_positive: (num_sequences,) bool.
        token_keys: (num_tokens,) int64, or None on one rank.
        config: settings.
        exchange: to the other ranks.
        name: of ``hidden``, for errors.

    Returns:
        The tokens, and the number of each sequence's group, (num_sequences,) int64.

    Raises:
        ValueError: a shape or dtype is wrong, or a sequence is not one.
    """
    if not isinstance(config, ResRLConfig):
        raise ValueError(f"ResRL: config must be a ResRLConfig, not {type(config).__name__}")
    check_tensor(name, hidden, ("num_tokens", "hidden_size"), *STATE_DTYPES)
    check_tensor("group_ids", group_ids, ("num_sequences",), torch.int64)
    n, num_sequences = len(hidden), len(group_ids)
    check_tensor("sequence_ids", sequence_ids, (n,), torch.int64)
    check_tensor("is_positive", is_positive, (num_sequences,), torch.bool)
    if n and not 0 <= int(sequence_ids.min()) <= int(sequence_ids.max()) < num_sequences:
        raise ValueError(
            f"ResRL: sequence_ids must be in [0, {num_sequences}), the number of sequences, "
            f"not in [{int(sequence_ids.min())}, {int(sequence_ids.max())}]"
        )
    if token_keys is not None:
        check_tensor("token_keys", token_keys, (n,), torch.int64)
    elif exchange.size > 1:
        raise ValueError("ResRL: token_keys must be given with an exchange: sequence ids are those of one rank")
    else:
        token_keys = hash64(sequence_ids, positions_in_runs(sequence_ids))
    all_group_ids = torch.unique(exchange.gather(torch.unique(group_ids)))
    group_of_sequence = torch.searchsorted(all_group_ids, group_ids)
    tokens = Tokens(
        hidden=hidden,
        row=torch.arange(n, device=sequence_ids.device),
        group=group_of_sequence[sequence_ids],
        positive=is_positive[sequence_ids],
        key=token_keys,
        num_groups=len(all_group_ids),
    )
    return tokens, group_of_sequence
