# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""How many bytes a batch takes from its hidden states to its weights, and where the hidden states wait."""

from verl_resrl.algorithm.config import ResRLConfig
from verl_resrl.algorithm.subspace import bytes_of_fit

# indices, keys, groups, residual, alignment and weight of a token, with the intermediate ones of sorting them
BYTES_OF_A_TOKEN = 200
FLOAT32 = 4
BLOCK_BYTES = 24 * 256  # of a dimension: the rows that the torch path normalises and projects together on a CPU
SHARE_OF_FREE_MEMORY = 0.5  # the rest is for the log-prob pass that goes on meanwhile


def hidden_bytes(num_tokens: int, hidden_size: int, element_size: int) -> int:
    """Bytes of the hidden states that are held until those of the whole batch are there.

    Args:
        num_tokens: response tokens of active groups on this rank.
        hidden_size: d.
        element_size: bytes of a number, 2 for bfloat16 and float16.
    """
    return num_tokens * hidden_size * element_size


def work_bytes(num_tokens: int, hidden_size: int, num_groups: int, group_tokens: int, config: ResRLConfig) -> int:
    """Bytes that computing the weights takes beside the hidden states, at the most.

    Args:
        num_tokens: response tokens of active groups on this rank.
        hidden_size: d.
        num_groups: active groups with tokens on this rank.
        group_tokens: positive tokens that span the subspace of the largest group, ``max_positive_tokens`` at most.
        config: settings.

    Returns:
        Per-token values, the subspaces (V in float32, and once more as the kernel reads it), and the workspace of
        ``max_workspace_gb``, which is exceeded only if a single group needs more.
    """
    width = min(config.rank, hidden_size)
    subspaces = 2 * num_groups * hidden_size * (width + 2) * FLOAT32
    one_group = bytes_of_fit(group_tokens, hidden_size, config.rank)
    workspace = max(int(config.max_workspace_gb * 1e9), one_group, BLOCK_BYTES * hidden_size)
    return num_tokens * BYTES_OF_A_TOKEN + subspaces + workspace


def waits_on_device(choice: str, num_bytes: int, free_bytes: int) -> bool:
    """Tell whether hidden states wait on the device, or in host memory.

    Args:
        choice: ``ResRLConfig.hidden_offload``.
        num_bytes: of the hidden states.
        free_bytes: of the device.
    """
    return choice == "device" or (choice == "auto" and num_bytes <= SHARE_OF_FREE_MEMORY * free_bytes)
