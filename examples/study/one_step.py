# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""One step on the wrong responses of a group, under each weighting: what it does to right and to wrong ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call

from verl_resrl import ResRLConfig, interference, token_weights
from verl_resrl.evaluation.states import response_states

NONE, REVERSED = "none", "interference reversed"
WEIGHTINGS = (
    NONE,
    "residual",
    "residual, consuming",
    "residual shuffled",
    "entropy",
    "interference",
    "interference shuffled",
    REVERSED,
    "nthr",
)


@dataclass(frozen=True)
class Group:
    """The responses to one problem.

    Attributes:
        prompt_ids: of the problem.
        responses: tokens of each response.
        correct: (num_responses,) bool.
    """

    prompt_ids: Sequence[int]
    responses: Sequence[Sequence[int]]
    correct: Tensor

    @property
    def sequence(self) -> Tensor:
        """(num_tokens,) int64 response of each token, response after response."""
        lengths = torch.tensor([len(response) for response in self.responses])
        return torch.repeat_interleave(torch.arange(len(lengths)), lengths)


@dataclass(frozen=True)
class Outcome:
    """What one step of a weighting did to a group.

    Attributes:
        right: mean change of a right response's log-likelihood.
        wrong: of a wrong one's.
        norm: length of the gradient before it was normalised.
    """

    right: float
    wrong: float
    norm: float


def weights_of_group(model: Any, group: Group, config: ResRLConfig) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Weigh the wrong tokens of a group in every way.

    Args:
        model: that wrote the responses, of Hugging Face transformers.
        group: with right and wrong responses.
        config: settings; ``weighting`` and ``shuffle`` are set here, and in one case ``hidden_state_at``.

    Returns:
        By name, the (num_tokens,) float32 weights, and what foresees displacement: mean ``alignment`` and mean
        ``interference`` of the wrong tokens.
    """
    predicting, consuming = ((config.layer, at) for at in ("predicting", "consuming"))
    wanted = (predicting, consuming)
    states = response_states(model, group.prompt_ids, group.responses, wanted, True, config.top_tokens)
    assert states.predictions is not None
    inputs, token_ids, top_ids, top_probs, slopes = states.predictions
    sequence = group.sequence.to(inputs.device)
    rest = (sequence, torch.zeros(len(group.responses), dtype=torch.int64), group.correct)
    score = interference(inputs, token_ids, top_ids, top_probs, *rest, config, top_slopes=slopes)

    def weigh(at: tuple[str | int, str] = predicting, **settings: Any) -> Any:
        changed = replace(config, **settings)
        return token_weights(states.hidden[at], *rest, changed, entropy=states.entropy, interference=score)

    residual = weigh()
    weights = {
        NONE: torch.ones_like(residual.weights),
        "residual": residual.weights,
        "residual, consuming": weigh(consuming).weights,
        "residual shuffled": weigh(shuffle=True).weights,
        "entropy": weigh(weighting="entropy").weights,
        "interference": weigh(weighting="interference").weights,
        "interference shuffled": weigh(weighting="interference", shuffle=True).weights,
        REVERSED: weigh(weighting="interference_reversed").weights,
        "nthr": weigh(weighting="nthr").weights,
    }
    wrong = ~group.correct[group.sequence]
    proxies = {"alignment": residual.alignment[wrong].mean().item(), "interference": score[wrong].mean().item()}
    return {name: weights[name] for name in WEIGHTINGS}, proxies


def steps(model: Any, group: Group, weights: Mapping[str, Tensor], length: float) -> dict[str, Outcome]:
    """Push the wrong tokens down by one normalised gradient step in all parameters, under each weighting, and look.

    Args:
        model: of Hugging Face transformers, on a CPU; it stays as it is.
        group: with right and wrong responses.
        weights: by name, (num_tokens,) float32; those of the wrong tokens are scaled to sum to 1.
        length: of the step, Euclidean, over all parameters.

    Returns:
        By name, what it did; not those that give no wrong token a weight.
    """
    wrong = ~group.correct[group.sequence]
    parameters = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    before = log_probs(model, group, parameters)
    outcomes = {}
    for name, own in weights.items():
        own = torch.where(wrong, own, 0.0)
        if not own.sum() > 0:  # NTHR may spare every token of a group
            continue
        gradients = torch.autograd.grad(
            (before * own / own.sum()).sum(), list(parameters.values()), retain_graph=True, materialize_grads=True
        )
        norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
        with torch.no_grad():
            rate = float(length / norm)
            pairs = zip(parameters.items(), gradients, strict=True)
            moved = {key: torch.sub(parameter, gradient, alpha=rate) for (key, parameter), gradient in pairs}
            change = log_probs(model, group, moved) - before
        total = torch.zeros(len(group.responses)).index_add_(0, group.sequence, change)
        outcomes[name] = Outcome(total[group.correct].mean().item(), total[~group.correct].mean().item(), norm.item())
    return outcomes


def log_probs(model: Any, group: Group, parameters: dict[str, Tensor]) -> Tensor:
    """(num_tokens,) float32 log-probability of each response token under other parameters, in one padded pass."""
    start = len(group.prompt_ids)
    width = start + max(map(len, group.responses))
    ids = torch.zeros(len(group.responses), width, dtype=torch.int64)
    mask = torch.zeros(len(ids), width, dtype=torch.int64)
    for row, response in enumerate(group.responses):  # padded on the right
        whole = torch.tensor([*group.prompt_ids, *response])
        ids[row, : len(whole)], mask[row, : len(whole)] = whole, 1
    inputs = {"input_ids": ids, "attention_mask": mask, "use_cache": False}
    logits = functional_call(model, parameters, kwargs=inputs).logits[:, start - 1 : -1]
    own = logits.float().log_softmax(-1).gather(2, ids[:, start:, None])[..., 0]
    return own[mask[:, start:].bool()]
