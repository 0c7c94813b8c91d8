# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Which weighting finds the first wrong token? Responses and the verifier -> states -> weights -> areas."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from countdown_fatal import first_fatal_character
from localisation import localise, token_of_character
from torch import Tensor

from verl_resrl import ResRLConfig, interference, token_weights
from verl_resrl.evaluation.finished import read_finished
from verl_resrl.evaluation.generate import load_model
from verl_resrl.evaluation.problems import Problem
from verl_resrl.evaluation.samples import Sample
from verl_resrl.evaluation.states import States, response_ids, response_states
from verl_resrl.tasks import countdown, word_problems

GROUP = 16  # responses of a problem that make up a group
FIRST_WRONG_CHARACTER = {  # by data source
    countdown.DATA_SOURCE: first_fatal_character,
    word_problems.DATA_SOURCE: lambda response, truth: word_problems.read(response, truth).wrong_from,
}


def unknown_sources(files: Iterable[Path]) -> list[str]:
    """Name the data sources whose verifiers do not know where a response goes wrong.

    Args:
        files: problems in verl's format.
    """
    found = {source for file in files for source in pq.read_table(file, columns=["data_source"])[0].to_pylist()}
    return sorted(found - set(FIRST_WRONG_CHARACTER))


def configs(rank: int) -> dict[str, ResRLConfig]:
    """What is compared.

    Args:
        rank: of the trainings.
    """
    return {
        "residual, predicting": ResRLConfig(rank=rank),
        "residual, consuming": ResRLConfig(rank=rank, hidden_state_at="consuming"),
        "residual, penultimate layer": ResRLConfig(rank=rank, layer="penultimate"),
        "residual, middle layer": ResRLConfig(rank=rank, layer="middle"),
        "entropy": ResRLConfig(rank=rank, weighting="entropy"),
        "interference": ResRLConfig(weighting="interference"),
        "shuffled": ResRLConfig(rank=rank, shuffle=True),
    }


@dataclass(frozen=True)
class Group:
    """The responses to one problem, as the model sees them.

    Attributes:
        states: of their tokens.
        sequence: (num_tokens,) the response of each token.
        correct: (num_responses,) bool.
        first_wrong: index of each response's first wrong token; -1 for right ones.
    """

    states: States
    sequence: Tensor
    correct: Tensor
    first_wrong: Sequence[int]


def measure(evaluation: Path, rank: int) -> dict[str, dict[str, float]]:
    """Measure every weighting on the responses of an evaluation.

    Args:
        evaluation: folder that ``resrl eval`` wrote.
        rank: of the trainings.

    Returns:
        Name of the weighting -> fields of ``Localisation``; "position" is the index of the token in its response.

    Raises:
        EvaluationError: the evaluation cannot be read.
        ValueError: no wrong response that has a right one beside it has its first wrong token among its tokens.
    """
    scores: dict[str, list[np.ndarray]] = defaultdict(list)
    first_wrong: list[int] = []
    compared = configs(rank)
    for group in _groups(evaluation):
        weights = {name: _weights(group, config) for name, config in compared.items()}
        for row, index in enumerate(group.first_wrong):
            if index < 0:
                continue
            first_wrong.append(index)
            own = (group.sequence == row).cpu()
            for name, values in weights.items():
                scores[name].append(values[own].numpy())
            scores["position"].append(np.arange(int(own.sum())))
    if not scores:
        raise ValueError("localisation: no problem has both right and wrong responses")
    return {name: asdict(localise(values, first_wrong)) for name, values in scores.items()}


def _weights(group: Group, config: ResRLConfig) -> Tensor:
    hidden = group.states.hidden[config.layer, config.hidden_state_at]
    group_ids = torch.zeros(len(group.correct), dtype=torch.int64, device=hidden.device)
    rest, score = (group.sequence, group_ids, group.correct, config), None
    if config.weighting == "interference":
        assert group.states.predictions is not None
        inputs, token_ids, top_ids, top_probs, slopes = group.states.predictions
        score = interference(inputs, token_ids, top_ids, top_probs, *rest, top_slopes=slopes)
    return token_weights(hidden, *rest, entropy=group.states.entropy, interference=score).weights.cpu()


def _groups(evaluation: Path) -> Iterator[Group]:
    """Groups with right and wrong responses."""
    finished = read_finished(evaluation)
    network = load_model(finished.settings.model, finished.settings.dtype)
    for number, group in finished.groups(GROUP).items():
        if len({sample.correct for sample in group}) == 2:
            yield _group(network, finished.tokenizer, finished.problems[number], group)


def _group(network: Any, tokenizer: Any, problem: Problem, samples: Sequence[Sample]) -> Group:
    responses = [response_ids(sample, tokenizer) for sample in samples]
    wanted = {(config.layer, config.hidden_state_at) for config in configs(ResRLConfig.rank).values()}
    states = response_states(network, problem.prompt_ids, responses, wanted, True, ResRLConfig.top_tokens)
    lengths = torch.tensor([len(response) for response in responses])
    return Group(
        states=states,
        sequence=torch.repeat_interleave(torch.arange(len(responses)), lengths).to(network.device),
        correct=torch.tensor([sample.correct for sample in samples], device=network.device),
        first_wrong=[
            _first_wrong(sample, response, tokenizer, problem)
            for sample, response in zip(samples, responses, strict=True)
        ],
    )


def _first_wrong(sample: Sample, ids: Sequence[int], tokenizer: Any, problem: Problem) -> int:
    if sample.correct:
        return -1
    first_wrong_character = FIRST_WRONG_CHARACTER[problem.row["data_source"]]
    character = first_wrong_character(sample.response, problem.row["reward_model"]["ground_truth"])
    assert character is not None
    # by their ends in the text, as a character may be made of several tokens
    spans = tokenizer(sample.response, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    ends = [end for _, end in spans] + [len(sample.response)] * (len(ids) - len(spans))
    return token_of_character(character, [sample.response[i:j] for i, j in pairwise([0, *ends])])
