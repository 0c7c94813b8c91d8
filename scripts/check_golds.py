#!/usr/bin/env python3
# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0

"""Give the mathematics reward right answers of benchmarks: each must be right for itself, and wrong for the others."""

import argparse
import json
import random
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from verl_resrl.tasks.math_reward import check_ground_truth, compute_score

FORMS = ("\\boxed{%s}", "Answer: %s")  # what the prompts of the benchmarks and of DAPO ask for


def golds(file: Path) -> dict[str, list[str]]:
    """Right answers by benchmark: of a parquet file for verl, or of lines of JSON with "benchmark" and "gold"."""
    found: dict[str, list[str]] = defaultdict(list)
    if file.suffix == ".parquet":
        for row in pq.read_table(file, columns=["data_source", "reward_model"]).to_pylist():
            found[row["data_source"]].append(check_ground_truth(row["reward_model"]["ground_truth"]))
    else:
        for line in file.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            found[row["benchmark"]].append(check_ground_truth(row["gold"]))
    return found


def is_right(answer: tuple[str, str]) -> bool:
    """Whether a response is right, by the reward function of training."""
    response, gold = answer
    return compute_score("", response, gold)["score"] == 1.0


def main() -> int:
    """Run the command line; returns its exit status: 1 if a right answer is not right for itself."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+", help="parquet files for verl, or JSON lines (benchmark, gold)")
    parser.add_argument("--others", type=int, default=20, help="answers of other problems to try for each [20]")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rejected_own, rng = 0, random.Random(options.seed)
    print("| benchmark | golds | own accepted in a box | own accepted as `Answer:` | others tried | others accepted |")
    print("|---|---|---|---|---|---|")
    with ThreadPoolExecutor(4) as pool:
        for file in options.files:
            for name, texts in golds(file).items():
                own = [[(form.replace("%s", text), text) for text in texts] for form in FORMS]
                pairs = [
                    (text, other) for text in texts for other in rng.sample(texts, min(options.others, len(texts)))
                ]
                others = [
                    (FORMS[0].replace("%s", other), text) for text, other in pairs if other.strip() != text.strip()
                ]
                accepted = [sum(pool.map(is_right, answers)) for answers in own]
                wrong = [answer for answer, right in zip(others, pool.map(is_right, others), strict=True) if right]
                rejected_own += 2 * len(texts) - sum(accepted)
                print(f"| {name} | {len(texts)} | {accepted[0]} | {accepted[1]} | {len(others)} | {len(wrong)} |")
                for response, gold in wrong:
                    print(f"{name}: {response} is right for {gold}", file=sys.stderr)
    return int(rejected_own > 0)


if __name__ == "__main__":
    sys.exit(main())
