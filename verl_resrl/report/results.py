# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Evaluations -> the table of results: start and last checkpoint of each method, over its seeds."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from verl_resrl.report.tables import last_steps

MEASURES = ("majority_vote", "mean_length", "distinct_correct", "self_bleu")


def results_table(
    evaluations: pd.DataFrame, passes: pd.DataFrame, ks: Sequence[int], sources: Sequence[str]
) -> list[dict[str, Any]]:
    """Average over seeds.

    Args:
        evaluations: of ``tables.evaluation_table``.
        passes: of ``tables.pass_table``.
        ks: of Pass@k.
        sources: data sources, or "overall".

    Returns:
        Rows ``{"source", "method", "checkpoint": "start" | "last", "steps": {seed: step}, "num_problems",
        "num_samples", "measures": {name: {"mean", "min", "max"}}}``, over seeds; names are "Avg@n", "Pass@k" with each
        k, and those of MEASURES that were measured.
    """
    wide = passes[passes["k"].isin(ks)].pivot(index=["method", "seed", "step", "source"], columns="k", values="mean")
    wide.columns = pd.Index([f"Pass@{k}" for k in wide.columns])
    table = evaluations.rename(columns={"avg": "Avg@n"}).merge(
        wide.reset_index(), on=["method", "seed", "step", "source"]
    )
    names = ["Avg@n", *(f"Pass@{k}" for k in ks), *MEASURES]
    last = last_steps(table)
    parts = [("start", table[table["step"] == 0]), ("last", last[last["step"] > 0])]
    rows = []
    for source in sources:
        for method in sorted(set(table["method"])):
            for checkpoint, part in parts:
                chosen = part[(part["source"] == source) & (part["method"] == method)]
                if chosen.empty:
                    continue
                summary = chosen[names].agg(["mean", "min", "max"])
                rows.append(
                    {"source": source, "method": method, "checkpoint": checkpoint}
                    | {
                        "steps": {
                            int(seed): int(step) for seed, step in zip(chosen["seed"], chosen["step"], strict=True)
                        }
                    }
                    | {name: int(chosen[name].min()) for name in ("num_problems", "num_samples")}
                    | {
                        "measures": {
                            name: {statistic: float(value) for statistic, value in summary[name].items()}
                            for name in names
                            if summary[name].notna().all()
                        }
                    }
                )
    return rows
