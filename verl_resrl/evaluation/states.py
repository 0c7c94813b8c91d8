# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Responses -> hidden states, entropy and predictions, as a training would see them.

They come from a forward pass of Hugging Face's model.
"""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from verl_resrl.evaluation.samples import Sample
from verl_resrl.integration.head_tap import logit_cap, top_predictions, unpacked
from verl_resrl.integration.tap import layer_index, num_decoder_layers

TOKENS_OF_A_FORWARD = 4096  # all layers' states of so many tokens are held at a time
StateOf = tuple[str | int, str]  # ``layer`` and ``hidden_state_at``, as in ``ResRLConfig``
DEFAULT: StateOf = ("last", "predicting")


class Predictions(NamedTuple):
    """What the output head has and gives, of all response tokens; the arguments of ``interference``.

    Attributes:
        inputs: (num_response_tokens, hidden_size) in the dtype of the model.
        token_ids: (num_response_tokens,) int64.
        top_ids: (num_response_tokens, m) int64.
        top_probs: (num_response_tokens, m) float32.
        top_slopes: (num_response_tokens, m) float32; None if the model does not cap its logits.
    """

    inputs: Tensor
    token_ids: Tensor
    top_ids: Tensor
    top_probs: Tensor
    top_slopes: Tensor | None


class States(NamedTuple):
    """Of all response tokens, response after response.

    Attributes:
        hidden: by what was wanted, (num_response_tokens, hidden_size) in the dtype of the model.
        entropy: (num_response_tokens,) float32, of the model where it chose the token; None if it was not wanted.
        predictions: of the head; None if they were not wanted.
    """

    hidden: dict[StateOf, Tensor]
    entropy: Tensor | None
    predictions: Predictions | None


def response_ids(sample: Sample, tokenizer: Any) -> list[int]:
    """Tokenize a response again from its text; the tokens may differ where a text can be written in several ways.

    Args:
        sample: the response.
        tokenizer: of the model.
    """
    ids = list(tokenizer(sample.response, add_special_tokens=False)["input_ids"])
    if sample.finished and tokenizer.eos_token_id is not None:
        ids.append(tokenizer.eos_token_id)  # the text is without it
    return ids


@torch.inference_mode()
def response_states(
    model: Any,
    prompt_ids: Sequence[int],
    responses: Sequence[Sequence[int]],
    wanted: Collection[StateOf] = (DEFAULT,),
    with_entropy: bool = False,
    top_tokens: int = 0,
) -> States:
    """Take what stands for each response token.

    Args:
        model: causal language model of Hugging Face transformers.
        prompt_ids: of the problem, at least one token.
        responses: to it.
        wanted: which hidden states.
        with_entropy: whether entropies are wanted, which takes the logits of all tokens.
        top_tokens: m, if predictions are wanted, which takes them too.

    Raises:
        ValueError: the model has no such layer.
    """
    num_layers = num_decoder_layers(model.config)
    width = len(prompt_ids) + max(map(len, responses))
    size = max(1, TOKENS_OF_A_FORWARD // width)
    hidden: dict[StateOf, list[Tensor]] = {state: [] for state in wanted}
    entropy: list[Tensor] = []
    inputs: list[Tensor] = []
    top: list[Tensor] = []
    cap = logit_cap(model.config)
    for start in range(0, len(responses), size):
        part = responses[start : start + size]
        ids = torch.zeros(len(part), width, dtype=torch.int64)
        mask = torch.zeros_like(ids)
        for row, response in enumerate(part):  # padded on the right: with causal attention it changes nothing before
            whole = [*prompt_ids, *response]
            ids[row, : len(whole)] = torch.tensor(whole)
            mask[row, : len(whole)] = 1
        output = model.base_model(
            input_ids=ids.to(model.device),
            attention_mask=mask.to(model.device),
            output_hidden_states=True,
            use_cache=False,
        )
        for (layer, at), found in hidden.items():
            first = len(prompt_ids) - 1 + (at == "consuming")
            states = output.hidden_states[layer_index(layer, num_layers)]
            found += [states[row, first : first + len(response)] for row, response in enumerate(part)]
        for row, response in enumerate(part if with_entropy or top_tokens else ()):
            first = len(prompt_ids) - 1
            inputs.append(output.last_hidden_state[row, first : first + len(response)])
            logits = model.get_output_embeddings()(inputs[-1]).float()
            logits = logits if cap is None else cap * torch.tanh(logits / cap)
            if with_entropy:
                entropy.append(torch.distributions.Categorical(logits=logits).entropy())
            if top_tokens:
                top.append(top_predictions(logits, logits.new_ones(len(logits)), top_tokens, cap))
    joined = {state: torch.cat(parts) for state, parts in hidden.items()}
    predictions = None
    if top_tokens:
        ids = torch.tensor([token for response in responses for token in response], device=model.device)
        predictions = Predictions(torch.cat(inputs), ids, *unpacked(torch.cat(top), cap is not None))
    return States(joined, torch.cat(entropy) if with_entropy else None, predictions)
