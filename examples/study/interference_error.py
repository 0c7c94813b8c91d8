# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""What sparse errors and few directions cost: interference against its whole form, by rank and by top tokens."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import matplotlib
import torch
from mixed_groups import NO_GROUPS, add_arguments, mixed_groups
from one_step import Group
from scipy.stats import spearmanr
from torch import Tensor

from verl_resrl import ResRLConfig, interference
from verl_resrl.algorithm.quantiles import grouped_quantiles
from verl_resrl.algorithm.weighting import residual_to_weight
from verl_resrl.evaluation.generate import load_model
from verl_resrl.evaluation.settings import EvaluationError
from verl_resrl.evaluation.states import Predictions, response_states

matplotlib.use("Agg")  # no display needed
from matplotlib import pyplot as plt

RANKS, TOP_TOKENS = (8, 16, 32, 64, 128), (4, 8, 16, 32, 64)
FIGURES = {"rank_correlation": "rank correlation, 1 - x", "weights": "mean difference of the weights"}


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    parser.add_argument("--plot", type=Path, help="draw the errors there")
    parser.add_argument(
        "--every-other-right", action="store_true", help="call every other response right instead of judging"
    )
    return parser.parse_args(arguments)


def errors_of_group(model: Any, group: Group) -> list[dict[str, float]]:
    """Compare with the form over the whole vocabulary and all dimensions, in float64.

    Args:
        model: of Hugging Face transformers.
        group: with right and wrong responses.

    Returns:
        For each rank and number of top tokens Spearman's ``rank_correlation`` over the tokens of the group, and the
        mean difference of the ``weights`` of its wrong tokens; none where there are too few tokens.
    """
    vocabulary = model.get_output_embeddings().weight.shape[0]
    states = response_states(model, group.prompt_ids, group.responses, top_tokens=vocabulary)
    assert states.predictions is not None
    truth = dense(states.predictions, group)
    wrong = ~group.correct[group.sequence]
    rows = []
    for rank in RANKS:
        for m in TOP_TOKENS:
            found = _sparse(states.predictions, group, rank, m)
            if found.isnan().any():
                return []
            correlation = float(spearmanr(found, truth).statistic)
            difference = (_weights(found[wrong]) - _weights(truth[wrong].float())).abs().mean().item()
            rows.append({"rank": rank, "top_tokens": m, "rank_correlation": correlation, "weights": difference})
    return rows


def dense(given: Predictions, group: Group) -> Tensor:
    """(num_tokens,) float64 interference from whole distributions, which ``given`` holds."""
    delta = torch.zeros(given.top_ids.shape, dtype=torch.float64).scatter_(1, given.top_ids, given.top_probs.double())
    delta[torch.arange(len(delta)), given.token_ids] -= 1.0
    if given.top_slopes is not None:
        delta *= torch.zeros_like(delta).scatter_(1, given.top_ids, given.top_slopes.double())
    x, right = given.inputs.double(), group.correct[group.sequence]
    return ((delta @ (delta[right].T @ x[right])) * x).sum(1)


def _sparse(given: Predictions, group: Group, rank: int, m: int) -> Tensor:
    slopes = None if given.top_slopes is None else given.top_slopes[:, :m].contiguous()
    rest = (group.sequence, torch.zeros(len(group.responses), dtype=torch.int64), group.correct)
    top = (given.top_ids[:, :m].contiguous(), given.top_probs[:, :m].contiguous())
    return interference(given.inputs, given.token_ids, *top, *rest, ResRLConfig(rank=rank), top_slopes=slopes)


def _weights(score: Tensor) -> Tensor:
    config, group = ResRLConfig(weighting="interference"), torch.zeros(len(score), dtype=torch.int64)
    return residual_to_weight(score, group, grouped_quantiles(score, group, 1, (config.q_low, config.q_high)), config)


def summarise(groups: list[list[dict[str, float]]]) -> list[dict[str, float]]:
    """For each rank and number of top tokens, mean and worst of the groups."""
    rows = []
    for of_groups in zip(*groups, strict=True):
        correlation, weights = ([row[name] for row in of_groups] for name in FIGURES)
        means = {"rank_correlation": sum(correlation) / len(correlation), "weights": sum(weights) / len(weights)}
        worst = {"rank_correlation_worst": min(correlation), "weights_worst": max(weights)}
        rows.append({"rank": of_groups[0]["rank"], "top_tokens": of_groups[0]["top_tokens"], **means, **worst})
    return rows


def plot(rows: list[dict[str, float]], path: Path) -> None:
    """Draw the mean errors over the groups: a curve for each number of top tokens over the rank."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.5), dpi=120)
    for axis, (name, title) in zip(axes, FIGURES.items(), strict=True):
        for m in TOP_TOKENS:
            chosen = [row for row in rows if row["top_tokens"] == m]
            values = [1 - row[name] if name == "rank_correlation" else row[name] for row in chosen]
            axis.plot([row["rank"] for row in chosen], values, marker="o", label=f"{m} top tokens")
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        axis.set(xlabel="rank", title=title)
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


def main() -> int:
    """Measure; 0, or 1 with one line if something cannot be used."""
    options, groups, model = parse(sys.argv[1:]), [], None
    try:
        for _, group in mixed_groups(options, options.every_other_right):
            model = load_model(options.model).float().cpu() if model is None else model
            found = errors_of_group(model, group)
            groups += [found] if found else []
            if len(groups) == options.groups:
                break
    except EvaluationError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if not groups:
        print(f"error: {NO_GROUPS}", file=sys.stderr)
        return 1
    rows = summarise(groups)
    for row in rows:
        print("  ".join(f"{name} {value:.5g}" for name, value in row.items()))
    if options.out is not None:
        options.out.write_text(json.dumps({"groups": len(groups), "errors": rows}, indent=1) + "\n", encoding="utf-8")
    if options.plot is not None:
        plot(rows, options.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
