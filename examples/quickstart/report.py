# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""What came out: a table, ``metrics.json``, two plots, and the page of ``resrl compare``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from rich import box
from rich.console import Console
from rich.table import Table

from verl_resrl.evaluation.settings import write_json
from verl_resrl.report.command import BASELINE
from verl_resrl.report.write import write_comparison

matplotlib.use("Agg")  # no display needed
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

STEPS_OF_A_MEAN = 10  # first and last rewards in the table: a pass over the puzzles with the default settings


def results_table(evaluations: Mapping[str, Mapping], rewards: Mapping[str, Mapping[int, float]]) -> Table:
    """Put the models side by side.

    Args:
        evaluations: by name of the model, as ``resrl eval`` summarises them.
        rewards: by method, mean reward by step.
    """
    results = list(evaluations.values())
    problems, samples = results[0]["num_problems"], results[0]["num_samples"]
    table = Table(title=f"{problems} held-out problems, {samples} responses to each, temperature 1", box=box.SIMPLE)
    table.add_column()
    for name in evaluations:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_row("Avg@16", *(f"{result['avg_at_first']['16']['mean']:.3f}" for result in results))
    for k in results[0]["pass_at_k"]:
        table.add_row(f"Pass@{k}", *(f"{result['pass_at_k'][k]['mean']:.3f}" for result in results))
    table.add_row("distinct right answers", *(f"{result['distinct_correct']:.2f}" for result in results))
    ends = [_ends(rewards.get(name, {})) for name in evaluations]
    table.add_row(f"reward, first {STEPS_OF_A_MEAN} steps", *(first for first, _ in ends))
    table.add_row(f"reward, last {STEPS_OF_A_MEAN} steps", *(last for _, last in ends))
    return table


def _ends(rewards: Mapping[int, float]) -> tuple[str, str]:
    """Mean reward of the first and of the last steps of a training; empty for a model that was not trained."""
    values = [rewards[step] for step in sorted(rewards)]
    if not values:
        return "", ""
    first, last = values[:STEPS_OF_A_MEAN], values[-STEPS_OF_A_MEAN:]
    return f"{sum(first) / len(first):.3f}", f"{sum(last) / len(last):.3f}"


def plot_pass_at_k(evaluations: Mapping[str, Mapping], path: Path) -> None:
    """Draw Pass@k over k, one curve for each model.

    Args:
        evaluations: by name of the model.
        path: PNG file.
    """
    figure, axes = plt.subplots(figsize=(6, 4), dpi=150)
    for name, result in evaluations.items():
        ks = [int(k) for k in result["pass_at_k"]]
        axes.plot(ks, [figure["mean"] for figure in result["pass_at_k"].values()], marker="o", label=name)
    axes.set_xscale("log", base=2)
    axes.set_xticks(ks, [str(k) for k in ks])
    axes.set(xlabel="k", ylabel="Pass@k", ylim=(0, 1), title="Held-out problems solved within k responses")
    _save(figure, path)


def plot_rewards(rewards: Mapping[str, Mapping[int, float]], path: Path) -> None:
    """Draw the training reward over steps, one curve for each method.

    Args:
        rewards: by method, mean reward by step.
        path: PNG file.
    """
    figure, axes = plt.subplots(figsize=(6, 4), dpi=150)
    for name, by_step in rewards.items():
        axes.plot(sorted(by_step), [by_step[step] for step in sorted(by_step)], label=name)
    axes.set(xlabel="step", ylabel="mean reward of the step", title="Training reward")
    _save(figure, path)


def write_report(
    folder: Path,
    settings: Mapping[str, Any],
    evaluations: Mapping[str, Mapping],
    rewards: Mapping[str, Mapping[int, float]],
    runs: Sequence[Path],
    console: Console,
) -> None:
    """Write the files and print the table.

    Args:
        folder: of ``metrics.json``, ``pass_at_k.png``, ``reward.png``, and in ``report`` what ``resrl compare`` writes.
        settings: to be written beside the numbers.
        evaluations: by name of the model, the start first.
        rewards: by method, mean reward by step.
        runs: folders of the trainings.
        console: where to print.
    """
    write_json(
        folder / "metrics.json",
        {"settings": dict(settings), "evaluations": dict(evaluations), "rewards": dict(rewards)},
    )
    plot_pass_at_k(evaluations, folder / "pass_at_k.png")
    plot_rewards(rewards, folder / "reward.png")
    write_comparison(runs, folder / "report", BASELINE, False, console)
    console.print(results_table(evaluations, rewards))
    for name in ("metrics.json", "pass_at_k.png", "reward.png", "report/report.html"):
        console.print(f"{folder / name}", highlight=False, soft_wrap=True)


def _save(figure: Figure, path: Path) -> None:
    axes = figure.axes[0]
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)
