# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""``tokens.jsonl``: what ResRL would weigh in a wrong response, next to a right one to the same problem.

The states are those of the model that wrote the responses (Hugging Face's ``hidden_states[-2]`` at the positions that
predict the tokens), the subspace is that of all right responses to the problem.
"""

import json
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from verl_resrl.evaluation.generate import load_model
from verl_resrl.evaluation.problems import Problem
from verl_resrl.evaluation.samples import Sample
from verl_resrl.evaluation.settings import Settings
from verl_resrl.weights import token_weights

TOKENS_FILE = "tokens.jsonl"
TOKENS_OF_A_FORWARD = 4096  # all layers' states of so many tokens are held at a time


def write_token_view(
    folder: Path,
    settings: Settings,
    problems: Sequence[Problem],
    samples: Sequence[Sample],
    tokenizer: Any,
    report: Callable[[int, int, str], None],
) -> None:
    """Write the first problems that have right and wrong responses, token by token.

    A row has ``problem``, ``prompt``, ``negative`` (the first wrong response: ``tokens``, their ``weights`` and
    ``residuals``) and ``positive`` (the first right one: ``tokens``). Responses are tokenized again from their text;
    the tokens may differ from those that were sampled where a text can be written in several ways.

    Args:
        folder: of the evaluation.
        settings: of the evaluation.
        problems: all of them.
        samples: all of them.
        tokenizer: of the model.
        report: called with problems done, problems in all and a note.
    """
    groups: dict[int, list[Sample]] = defaultdict(list)
    for sample in sorted(samples, key=lambda sample: sample.job):
        groups[sample.problem].append(sample)
    mixed = [number for number, group in groups.items() if len({sample.correct for sample in group}) == 2]
    model = load_model(settings.model) if mixed else None
    views = 0
    unfinished = folder / (TOKENS_FILE + ".tmp")
    with unfinished.open("w", encoding="utf-8") as file:
        for number in mixed:
            view = _view(model, problems[number], groups[number], tokenizer)
            if view is not None:
                file.write(json.dumps({"problem": number, **view}, ensure_ascii=False) + "\n")
                views += 1
                report(views, settings.token_weights, "token weights")
            if views == settings.token_weights:
                break
    os.replace(unfinished, folder / TOKENS_FILE)


def _view(model: Any, problem: Problem, group: Sequence[Sample], tokenizer: Any) -> dict[str, Any] | None:
    """One row, or None where ResRL gives no weights because there are too few tokens."""
    responses = [_response_ids(sample, tokenizer) for sample in group]
    hidden = response_states(model, problem.prompt_ids, responses)
    lengths = torch.tensor([len(ids) for ids in responses], device=hidden.device)
    sequence = torch.repeat_interleave(torch.arange(len(group), device=hidden.device), lengths)
    correct = torch.tensor([sample.correct for sample in group], device=hidden.device)
    out = token_weights(hidden, sequence, torch.zeros_like(lengths), correct)
    if not out.active.all():
        return None
    negative = next(i for i, sample in enumerate(group) if not sample.correct and responses[i])
    positive = next(i for i, sample in enumerate(group) if sample.correct and responses[i])
    own = sequence == negative
    return {
        "prompt": problem.prompt,
        "negative": {
            "tokens": _texts(responses[negative], tokenizer),
            "weights": out.weights[own].tolist(),
            "residuals": out.residual[own].tolist(),
        },
        "positive": {"tokens": _texts(responses[positive], tokenizer)},
    }


@torch.inference_mode()
def response_states(model: Any, prompt_ids: Sequence[int], responses: Sequence[Sequence[int]]) -> Tensor:
    """Take the input of the last decoder layer at the positions that predict the response tokens.

    Args:
        model: causal language model of Hugging Face transformers.
        prompt_ids: of the problem, at least one token.
        responses: to it.

    Returns:
        (num_response_tokens, hidden_size) in the dtype of the model, response after response.
    """
    width = len(prompt_ids) + max(map(len, responses))
    size = max(1, TOKENS_OF_A_FORWARD // width)
    states = []
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
        first = len(prompt_ids) - 1
        states += [output.hidden_states[-2][row, first : first + len(response)] for row, response in enumerate(part)]
    return torch.cat(states)


def _response_ids(sample: Sample, tokenizer: Any) -> list[int]:
    ids = list(tokenizer(sample.response, add_special_tokens=False)["input_ids"])
    if sample.finished and tokenizer.eos_token_id is not None:
        ids.append(tokenizer.eos_token_id)  # the text is without it
    return ids


def _texts(ids: Sequence[int], tokenizer: Any) -> list[str]:
    return [tokenizer.decode([token]) for token in ids]
