# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""``tokens.jsonl``: what ResRL weighs in a wrong response, next to a right one to the same problem.

The states are those of the model that wrote the responses, the subspace is that of all right responses to the problem.
A training that weighs tokens lends its own settings; for any other, ResRL's defaults say what they would weigh.
"""

import json
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from verl_resrl.algorithm.config import ResRLConfig
from verl_resrl.algorithm.interference import interference
from verl_resrl.algorithm.weights import TokenWeights, token_weights
from verl_resrl.evaluation.generate import free_memory, load_model
from verl_resrl.evaluation.problems import Problem
from verl_resrl.evaluation.samples import Sample
from verl_resrl.evaluation.settings import Settings
from verl_resrl.evaluation.states import response_ids, response_states

TOKENS_FILE = "tokens.jsonl"
BOTH_WEIGHTINGS = ("residual", "interference")  # beside that of the training
SHOWN_SETTINGS = ("weighting", "shuffle", "rank", "layer", "hidden_state_at", "q_low", "q_high", "xi")


def write_token_view(
    folder: Path,
    settings: Settings,
    problems: Sequence[Problem],
    samples: Sequence[Sample],
    tokenizer: Any,
    report: Callable[[int, int, str], None],
) -> None:
    """Write the first problems that have right and wrong responses, token by token.

    A row has ``problem``, ``prompt``, ``negative`` (the first wrong response: ``tokens``, their ``weights``,
    ``residuals`` and ``interferences``, and ``weights_by`` either of these two), ``positive`` (the first right one:
    ``tokens``) and ``weighed``: the settings of ResRL behind the weights, ``of_training`` if they are those of the
    training, and the number of ``responses`` in the group, which in an evaluation are more than in training. Responses
    are tokenized again, see ``states.response_ids``.

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
    model = load_model(settings.model, settings.dtype) if mixed else None
    config = ResRLConfig(**(settings.resrl or {}))
    shown = {name: asdict(config)[name] for name in SHOWN_SETTINGS}
    weighed = {"of_training": settings.resrl is not None, "responses": settings.n, **shown}
    views = 0
    unfinished = folder / (TOKENS_FILE + ".tmp")
    with unfinished.open("w", encoding="utf-8") as file:
        for number in mixed:
            view = _view(model, problems[number], groups[number], tokenizer, config)
            if view is not None:
                file.write(json.dumps({"problem": number, **view, "weighed": weighed}, ensure_ascii=False) + "\n")
                views += 1
                report(views, settings.token_weights, "token weights")
            if views == settings.token_weights:
                break
    os.replace(unfinished, folder / TOKENS_FILE)
    del model
    free_memory()  # vLLM's engine of the next checkpoint wants most of the GPU


def _view(
    model: Any, problem: Problem, samples: Sequence[Sample], tokenizer: Any, config: ResRLConfig
) -> dict[str, Any] | None:
    """One row, or None where ResRL gives no weights because there are too few tokens."""
    responses = [response_ids(sample, tokenizer) for sample in samples]
    wanted = (config.layer, config.hidden_state_at)
    with_entropy = config.weighting == "entropy"
    states = response_states(model, problem.prompt_ids, responses, [wanted], with_entropy, config.top_tokens)
    hidden = states.hidden[wanted]
    lengths = torch.tensor([len(ids) for ids in responses], device=hidden.device)
    sequence = torch.repeat_interleave(torch.arange(len(samples), device=hidden.device), lengths)
    correct = torch.tensor([sample.correct for sample in samples], device=hidden.device)
    assert states.predictions is not None
    inputs, token_ids, top_ids, top_probs, slopes = states.predictions
    group = (sequence, torch.zeros_like(lengths), correct)
    score = interference(inputs, token_ids, top_ids, top_probs, *group, config, top_slopes=slopes)

    def weigh(settings: ResRLConfig) -> TokenWeights:
        return token_weights(hidden, *group, settings, entropy=states.entropy, interference=score)

    out = weigh(config)
    if not out.active.all():
        return None
    weights_by = {name: weigh(replace(config, weighting=name, shuffle=False)).weights for name in BOTH_WEIGHTINGS}
    negative = next(i for i, sample in enumerate(samples) if not sample.correct and responses[i])
    positive = next(i for i, sample in enumerate(samples) if sample.correct and responses[i])
    own = sequence == negative
    return {
        "prompt": problem.prompt,
        "negative": {
            "tokens": _texts(responses[negative], tokenizer),
            "weights": out.weights[own].tolist(),
            "residuals": out.residual[own].tolist(),
            "interferences": score[own].tolist(),
            "weights_by": {name: weights[own].tolist() for name, weights in weights_by.items()},
        },
        "positive": {"tokens": _texts(responses[positive], tokenizer)},
    }


def _texts(ids: Sequence[int], tokenizer: Any) -> list[str]:
    return [tokenizer.decode([token]) for token in ids]
