# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""What interference needs of the output head: its inputs and the most likely tokens of its logits, from verl's pass.

An engine takes the inputs with a ``HiddenStateTap`` on the head and the predictions from the logits that verl makes its
log-probabilities of, before verl does; both are kept for the response tokens that are wanted.
"""

from typing import Any

import torch
from torch import Tensor, nn

from verl_resrl.algorithm.arguments import STATE_DTYPES
from verl_resrl.algorithm.config import ResRLConfig
from verl_resrl.algorithm.exchange import Exchange
from verl_resrl.algorithm.interference import interference
from verl_resrl.integration.batch import Batch
from verl_resrl.integration.tap import ResponseStates

BYTES_AT_A_TIME = 64e6  # of logits in float32
SMALLEST_TEMPERATURE = 1e-8  # verl's


def output_head(module: nn.Module) -> nn.Module:
    """Find the output head of a Hugging Face model under whatever wrappers there are.

    Args:
        module: the (wrapped) causal language model.

    Raises:
        ValueError: the model does not name one.
    """
    find: Any = getattr(module, "get_output_embeddings", None)
    head = None if find is None else find()
    if not isinstance(head, nn.Module):
        raise ValueError(
            f"ResRL: {type(module).__name__} names no output head (get_output_embeddings), which resrl.weighting="
            "interference and nthr need: take another +method="
        )
    return head


def logit_cap(hf_config: Any) -> float | None:
    """C of a model whose logits are c tanh(z / c) of what its head puts out (Gemma 2); None of one without."""
    return getattr(hf_config.get_text_config(), "final_logit_softcapping", None)


@torch.no_grad()
def top_predictions(logits: Tensor, temperature: Tensor, top_tokens: int, cap: float | None) -> Tensor:
    """Take the most likely tokens out of logits, a part of the rows at a time.

    Args:
        logits: (n, vocabulary) before they are divided by the temperature, of any floating dtype.
        temperature: (n,), verl's.
        top_tokens: m; the whole vocabulary if that is smaller.
        cap: see ``logit_cap``.

    Returns:
        (n, 2 m) int32, tokens and the bits of their float32 probabilities; with a cap (n, 3 m), slopes at the end. See
        ``unpacked``.
    """
    m = min(top_tokens, logits.shape[1])
    size = max(1, int(BYTES_AT_A_TIME / (4 * logits.shape[1])))
    parts, as_they_are = [], bool((temperature == 1).all())
    for rows, t in zip(logits.split(size), temperature.split(size), strict=True):
        values, ids = rows.topk(m)  # in the dtype of the logits: a temperature changes no order
        scaled = rows if as_they_are else rows.float() / t.float().clamp(min=SMALLEST_TEMPERATURE)[:, None]
        columns = [scaled.log_softmax(1, dtype=torch.float32).gather(1, ids).exp()]
        if cap is not None:
            columns.append(1.0 - (values.float() / cap).square())
        parts.append(torch.cat([ids.int(), *(column.view(torch.int32) for column in columns)], 1))
    return torch.cat(parts)


def unpacked(packed: Tensor, capped: bool) -> tuple[Tensor, Tensor, Tensor | None]:
    """What ``top_predictions`` has packed: (n, m) int64 tokens, float32 probabilities, and slopes of capped logits."""
    ids, *columns = packed.chunk(3 if capped else 2, 1)
    probs, slopes = (*(column.contiguous().view(torch.float32) for column in columns), None)[:2]
    assert probs is not None
    return ids.long(), probs, slopes


def bytes_of_a_row(tensor: Tensor) -> int:
    """Bytes of a row of an (n, ...) tensor."""
    return tensor[:1].nbytes


class HeadStates:
    """Head inputs and predictions of selected response tokens of a batch, gathered micro-batch by micro-batch.

    Args:
        batch: whose wanted tokens they are of.
        token_ids: (num_response_tokens,) int64 over all sequences one after the other.
        config: settings.
        cap: see ``logit_cap``.
    """

    def __init__(self, batch: Batch, token_ids: Tensor, config: ResRLConfig, cap: float | None) -> None:
        lengths = (batch.prompt_lengths, batch.wanted, batch.response_lengths)
        self._token_ids, self._config, self._cap = token_ids[batch.wanted], config, cap
        self._inputs = ResponseStates(*lengths, offload=config.hidden_offload)
        self._predictions = ResponseStates(*lengths, offload=config.hidden_offload)

    def predictions(self, logits: Tensor, temperature: Tensor) -> Tensor:
        """``top_predictions`` of (n, vocabulary) logits at (n,) temperatures."""
        return top_predictions(logits, temperature, self._config.top_tokens, self._cap)

    def store(self, inputs: Tensor, predictions: Tensor, sequences: Tensor, starts: Tensor) -> None:
        """Copy what is wanted of one micro-batch.

        Args:
            inputs: (n, d) head inputs of all its positions.
            predictions: (n, ...) of the same, as ``predictions`` returns them.
            sequences: as in ``ResponseStates.store``, like starts.
            starts: likewise.
        """
        self._inputs.store(inputs, sequences, starts, bytes_of_a_row(predictions))
        self._predictions.store(predictions, sequences, starts)

    @property
    def nbytes(self) -> int:
        """Bytes of what is held."""
        return self._inputs.hidden().nbytes + self._predictions.hidden().nbytes

    def interference(
        self, sequence_ids: Tensor, batch: Batch, token_keys: Tensor, seed: int, exchange: Exchange
    ) -> Tensor:
        """Interference of the wanted tokens; see ``verl_resrl.algorithm.interference``.

        Args:
            sequence_ids: (num_wanted,) int64, on the device that computes.
            batch: the batch.
            token_keys: (num_wanted,) int64, there too.
            seed: of the choice of positive tokens and of the subspaces.
            exchange: to the ranks that hold the rest of the batch.

        Returns:
            (num_wanted,) float32, there too.
        """
        device, inputs = sequence_ids.device, self._inputs.hidden()
        ids, probs, slopes = unpacked(self._predictions.hidden().to(device), self._cap is not None)
        return interference(
            inputs if inputs.dtype in STATE_DTYPES else inputs.float(),
            self._token_ids.to(device),
            ids,
            probs,
            sequence_ids,
            batch.group_ids.to(device),
            batch.positive.to(device),
            self._config,
            seed,
            exchange,
            token_keys,
            slopes,
        )
