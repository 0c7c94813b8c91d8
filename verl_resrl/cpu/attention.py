# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Attention for generation on a CPU: PyTorch's own, without a copy of keys and values for each head that shares them.

Where several query heads share a head of keys and values, transformers repeats the keys and values of the whole context
for every new token, because PyTorch's kernel cannot share them under a mask. For one new token there is no need: query
heads that share keys are to the kernel what several query positions are.
"""

from typing import Any

from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

SHARED_KEYS = "sdpa_shared_keys"  # name of it among the attn_implementations of transformers


def shared_keys_attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    """Transformers' "sdpa" with the same numbers; see ``sdpa_attention_forward`` there.

    Args:
        module: attention layer.
        query: (batch, query heads, query tokens, d).
        key: (batch, key heads, tokens, d).
        value: as key.
        attention_mask: broadcastable to (batch, 1, query tokens, tokens), or None.
        options: of transformers.

    Returns:
        (batch, query tokens, query heads, d), and no attention weights.
    """
    batch, heads, length, d = query.shape
    shared = heads // key.shape[1]
    if length > 1 or shared == 1 or (attention_mask is not None and attention_mask.shape[1] > 1):
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    output = scaled_dot_product_attention(
        query.reshape(batch, key.shape[1], shared, d),
        key,
        value,
        attn_mask=attention_mask,
        dropout_p=options.get("dropout", 0.0),
        scale=options.get("scaling"),
    )
    return output.reshape(batch, 1, heads, d), None


def share_keys(model: Any) -> None:
    """Let a model of transformers that uses PyTorch's attention use this one instead."""
    if model.config._attn_implementation == "sdpa":
        model.set_attn_implementation(SHARED_KEYS)


AttentionInterface.register(SHARED_KEYS, shared_keys_attention)
AttentionMaskInterface.register(SHARED_KEYS, sdpa_mask)
