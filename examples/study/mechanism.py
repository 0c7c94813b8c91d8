# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Which weighting lowers wrong responses with least harm to right ones? One step, on any model and data, on a CPU."""

import argparse
import json
import math
import sys
import time
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from mixed_groups import NO_GROUPS, add_arguments, mixed_groups
from one_step import NONE, WEIGHTINGS, steps, weights_of_group
from origin import code_of_results, origin_of_results
from tables import mechanism_table

# isort: split
from fingerprints import file_states, fingerprint, source_fingerprint  # of the quickstart, by origin on the path

from verl_resrl import ResRLConfig
from verl_resrl.algorithm.config import LAYERS
from verl_resrl.algorithm.lld import rank_correlation
from verl_resrl.evaluation.generate import load_model
from verl_resrl.evaluation.settings import EvaluationError, write_json
from verl_resrl.statistics.intervals import bootstrap_interval

HERE = Path(__file__).resolve().parent
SOURCES = tuple(HERE / name for name in ("mechanism.py", "mixed_groups.py", "one_step.py"))
EPILOG = """\
For each problem with right and wrong responses, one gradient step in all parameters, of the same length for all, that
pushes the wrong responses down with each token weighted; then how far the log-likelihood of right and of wrong
responses moved. Nothing is trained: each step starts from the model as it is.

example, with the quickstart's model:
  python examples/study/mechanism.py outputs/quickstart/start-*/model outputs/quickstart/data-*/train.parquet \\
      --reward-file verl_resrl/tasks/countdown.py
"""


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_arguments(parser)
    parser.add_argument("--rank", type=int, default=ResRLConfig.rank, help="directions of the subspaces (64)")
    parser.add_argument("--layer", choices=LAYERS, default=ResRLConfig.layer, help="of the residual's states (last)")
    parser.add_argument(
        "--weightings",
        metavar="NAME",
        nargs="+",
        choices=WEIGHTINGS,
        default=WEIGHTINGS,
        help=f"beside {NONE}: {'; '.join(WEIGHTINGS[1:])} (all)",
    )
    parser.add_argument("--length", type=float, default=2e-3, help="of the step in all parameters (0.002)")
    options = parser.parse_args(arguments)
    options.weightings = [name for name in WEIGHTINGS if name == NONE or name in options.weightings]
    return options


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Sample responses, and take a step under each weighting on every group that has both kinds.

    With ``--out``, each group is written when it is done, and groups that are there are not made again.

    Returns:
        ``settings``, ``origin`` (commit, versions, machine), ``inputs`` (fingerprint of sources, model, data and
        reward), ``seconds``, ``groups`` (of each its ``proxies`` and ``outcomes`` by weighting), and what ``summarise``
        makes of them.

    Raises:
        EvaluationError: model, data or reward cannot be used.
    """
    config, model, before = _config(options), None, _done_before(options)
    groups = before.get("groups", [])
    result = {"settings": _settings(options), "origin": before["origin"] if before else origin_of_results()}
    result |= {"inputs": _inputs(options), "seconds": before.get("seconds", 0.0), "groups": groups}
    first = groups[-1]["problem"] + 1 if groups else 0
    began, num_before = time.monotonic(), len(groups)
    for number, group in mixed_groups(options, first=first) if len(groups) < options.groups else ():
        model = load_model(options.model).float().cpu() if model is None else model
        weights, proxies = weights_of_group(model, group, config)
        if not math.isnan(proxies["interference"]):  # else there are too few tokens for weights
            outcomes = steps(model, group, {name: weights[name] for name in options.weightings}, options.length)
            found = {name: asdict(outcome) for name, outcome in outcomes.items()}
            groups.append({"problem": number, "proxies": proxies, "outcomes": found})
            seconds = time.monotonic() - began
            result["seconds"] = before.get("seconds", 0.0) + seconds
            if options.out is not None:
                write_json(options.out, result)
            left = seconds / (len(groups) - num_before) * (options.groups - len(groups))
            print(f"{len(groups)} of {options.groups} groups, {left:.0f} s left", file=sys.stderr, flush=True)
        if len(groups) == options.groups:
            break
    return {**result, **summarise(groups)}


def _config(options: argparse.Namespace) -> ResRLConfig:
    try:
        return ResRLConfig(rank=options.rank, layer=options.layer)
    except ValueError as error:
        raise EvaluationError(str(error)) from None


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()}


def _inputs(options: argparse.Namespace) -> str:
    """Name the content of what the groups are made of; settings have but the paths."""
    files = [*sorted(Path(options.model).glob("*")), options.data, options.reward_file]
    found = file_states([file for file in files if file is not None and file.is_file()])
    return fingerprint(files=found, code=[code_of_results(), source_fingerprint(SOURCES)])


def _done_before(options: argparse.Namespace) -> dict[str, Any]:
    """What an earlier call, stopped or of fewer groups, has left in ``--out``."""
    if options.out is None or not options.out.exists():
        return {}
    try:
        old = json.loads(options.out.read_text(encoding="utf-8"))
        settings, groups, inputs = old["settings"], old["groups"], old["inputs"]
    except (ValueError, TypeError, KeyError):
        raise EvaluationError(f"--out: {options.out} is not what this command writes; name another file") from None
    new = _settings(options)
    differing = [name for name in new if name not in ("groups", "out") and settings.get(name) != new[name]]
    if differing:
        raise EvaluationError(f"--out: {options.out} has groups of another {', '.join(differing)}; name another file")
    if inputs != _inputs(options):
        changed = "sources, model, data or reward file have changed"
        raise EvaluationError(f"--out: {options.out} has groups from before {changed}; name another file")
    if len(groups) > options.groups:
        raise EvaluationError(
            f"--groups: {options.out} has {len(groups)} already; ask for as many or name another file"
        )
    return old


def summarise(groups: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over groups with intervals, and rank correlations.

    Args:
        groups: of ``measure``.

    Returns:
        ``weightings``: by name, the number of ``groups`` and for ``right``, ``wrong`` and ``gap``, the difference of
        the two, mean and 95% bootstrap interval over groups; ``rank_correlations``: of mean alignment and mean
        interference with the drop of right responses by an unweighted step of unit rate.
    """
    changes: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for group in groups:
        for name, outcome in group["outcomes"].items():
            right, wrong = outcome["right"], outcome["wrong"]
            changes[name].append((right, wrong, right - wrong))
    weightings = {}
    for name in (name for name in WEIGHTINGS if name in changes):
        table = torch.tensor(changes[name], dtype=torch.float64).numpy()
        low, high = bootstrap_interval(table)
        columns = zip(("right", "wrong", "gap"), table.mean(0), low, high, strict=True)
        weightings[name] = {"groups": len(table), **{column: [float(x) for x in row] for column, *row in columns}}
    unweighted = [group["outcomes"][NONE] for group in groups]
    drop = -torch.tensor([outcome["right"] * outcome["norm"] for outcome in unweighted])
    correlations = {
        proxy: rank_correlation(torch.tensor([group["proxies"][proxy] for group in groups]), drop)
        for proxy in ("alignment", "interference")
    }
    return {"weightings": weightings, "rank_correlations": correlations}


def table(result: dict[str, Any]) -> str:
    """The result as a table in Markdown."""
    found = ((name, "not defined" if x is None else f"{x:+.3f}") for name, x in result["rank_correlations"].items())
    correlations = ", ".join(f"{name} {value}" for name, value in found)
    return f"{mechanism_table([result])}\nRank correlation over groups with the drop of right responses: {correlations}"


def main() -> int:
    """Run the test; 0, or 1 with one line if something cannot be used."""
    options = parse(sys.argv[1:])
    try:
        result = measure(options)
    except EvaluationError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if not result["groups"]:
        print(f"error: {NO_GROUPS}", file=sys.stderr)
        return 1
    print(table(result))
    if options.out is not None:
        write_json(options.out, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
