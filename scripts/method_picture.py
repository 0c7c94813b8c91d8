#!/usr/bin/env python3
# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
r"""The picture of the method: one prompt's responses, from the model that wrote them, as ResRL sees them.

    START=smollm2-135m METHODS=resrl bash examples/quickstart/run.sh
    python scripts/method_picture.py outputs/quickstart/resrl-*/evaluations/step_12 --out docs/method.png

reads an evaluation, runs its model on the responses to one problem, and draws their tokens in the coordinates of the
subspace of the right ones, with one wrong response below, coloured by weight. Nothing in it is drawn by hand.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from torch import Tensor

from verl_resrl import ResRLConfig, TokenWeights, token_weights
from verl_resrl.algorithm.subspace import fit_subspaces, layer_norm
from verl_resrl.evaluation.finished import read_finished
from verl_resrl.evaluation.generate import load_model
from verl_resrl.evaluation.problems import Problem
from verl_resrl.evaluation.samples import Sample
from verl_resrl.evaluation.settings import EvaluationError
from verl_resrl.evaluation.states import response_ids, response_states
from verl_resrl.report.token_lines import COLOURS, GREY, Page

matplotlib.use("Agg")
import matplotlib.pyplot as plt

GROUP = 16  # responses of the problem, as many as a training may have
HEIGHT_RATIO, COLUMNS, LINES, NAMES = 4.2, 84, 5, 10


@dataclass(frozen=True)
class Group:
    """The responses to one problem.

    Attributes:
        samples: the responses.
        tokens: text of each token, response by response.
        hidden: (num_tokens, d) float32 hidden states.
        sequence: (num_tokens,) int64 response of each token.
        correct: (num_responses,) bool.
        out: their weights.
    """

    samples: Sequence[Sample]
    tokens: Sequence[Sequence[str]]
    hidden: Tensor
    sequence: Tensor
    correct: Tensor
    out: TokenWeights

    def coordinates(self, config: ResRLConfig) -> tuple[np.ndarray, np.ndarray]:
        """Of each token: place along the subspace's first direction, and distance from the subspace."""
        rows = torch.nonzero(self.correct[self.sequence])[:, 0]
        subspace = fit_subspaces(self.hidden, rows, torch.tensor([len(rows)]), config.rank).subspaces
        along = (layer_norm(self.hidden) - subspace.centroid[0]) @ subspace.basis[0, :, 0]
        distance = (self.out.residual * self.hidden.shape[1]).sqrt()
        return along.numpy(), distance.numpy()


def choose(groups: Mapping[int, Sequence[Sample]]) -> int:
    """The problem whose responses are most evenly right and wrong, and the first one of these."""
    return min(groups, key=lambda number: (abs(np.mean([one.correct for one in groups[number]]) - 0.5), number))


@torch.inference_mode()
def look(model: Any, tokenizer: Any, problem: Problem, samples: Sequence[Sample], config: ResRLConfig) -> Group:
    """Run the model on the responses to a problem and weigh their tokens."""
    responses = [response_ids(sample, tokenizer) for sample in samples]
    wanted = (config.layer, config.hidden_state_at)
    hidden = response_states(model, problem.prompt_ids, responses, [wanted]).hidden[wanted].float().cpu()
    lengths = torch.tensor([len(ids) for ids in responses])
    sequence = torch.repeat_interleave(torch.arange(len(samples)), lengths)
    correct = torch.tensor([sample.correct for sample in samples])
    out = token_weights(hidden, sequence, torch.zeros(len(samples), dtype=torch.int64), correct, config)
    tokens = [[tokenizer.decode([token], skip_special_tokens=True) for token in ids] for ids in responses]
    return Group(samples, tokens, hidden, sequence, correct, out)


def draw(group: Group, prompt: str, config: ResRLConfig, file: Path) -> None:
    """Draw tokens and one wrong response."""
    figure = plt.figure(figsize=(8.6, 5.6), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=(HEIGHT_RATIO, 1))
    upper, lower = parts
    above = upper.subplots()
    along, distance = group.coordinates(config)
    right = group.correct[group.sequence].numpy()
    above.scatter(along[right], distance[right], s=14, color=GREY, alpha=0.55, label="token of a right response")
    points = above.scatter(
        along[~right], distance[~right], s=26, c=group.out.weights.numpy()[~right], cmap=COLOURS, vmin=0, vmax=1,
        edgecolors="#8c6d31", linewidths=0.4, label="token of a wrong response",
    )  # fmt: skip
    above.axhline(0, color=GREY, linewidth=1)
    above.annotate("the subspace of the right responses", (above.get_xlim()[0], 0), (4, 4), textcoords="offset points")
    above.set_xlabel("place along the first direction of the subspace")
    above.set_ylabel("distance from the subspace")
    above.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False)
    above.spines[["top", "right"]].set_visible(False)
    upper.colorbar(points, ax=above, label="weight", pad=0.01)
    page = Page(lower.add_axes((0.01, 0, 0.98, 1)), COLUMNS, LINES, NAMES)
    first_right, wrong = int(group.correct.int().argmax()), _most_telling(group)
    page.text("problem", prompt)
    page.response("right", group.tokens[first_right])
    page.response("wrong", group.tokens[wrong], group.out.weights[group.sequence == wrong].tolist())
    figure.savefig(file, dpi=150)


def _most_telling(group: Group) -> int:
    """The wrong response whose weights differ most from token to token."""
    spread = {
        number: float(group.out.weights[group.sequence == number].std())
        for number, correct in enumerate(group.correct.tolist())
        if not correct and len(group.tokens[number]) > 1
    }
    return max(spread, key=lambda number: spread[number])


def main() -> int:
    """Read the command line and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("evaluation", type=Path, help="folder that resrl eval wrote")
    parser.add_argument("--problem", type=int, help="number of the problem; by default the most evenly mixed one")
    parser.add_argument("--rank", type=int, help="resrl.rank; by default that of the training, else 64")
    parser.add_argument("--out", type=Path, default=Path("method.png"), help="image to write")
    options = parser.parse_args()
    try:
        finished = read_finished(options.evaluation)
    except EvaluationError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    groups = finished.groups(GROUP)
    number = choose(groups) if options.problem is None else options.problem
    if number not in groups:
        print(f"error: --problem {number}: {options.evaluation} has 0 to {len(groups) - 1}", file=sys.stderr)
        return 1
    own = finished.settings.resrl or {}
    config = ResRLConfig(**(own if options.rank is None else {**own, "rank": options.rank}))
    model, problem = load_model(finished.settings.model, finished.settings.dtype), finished.problems[number]
    group = look(model, finished.tokenizer, problem, groups[number], config)
    if not group.out.active.all():
        print(f"error: problem {number} has no right or no wrong responses: choose another --problem", file=sys.stderr)
        return 1
    draw(group, problem.row["prompt"][-1]["content"], config, options.out)
    print(f"{options.out}: problem {number}, {int(group.correct.sum())} of {len(group.correct)} responses right")
    return 0


if __name__ == "__main__":
    sys.exit(main())
