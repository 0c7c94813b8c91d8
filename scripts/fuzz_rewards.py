#!/usr/bin/env python3
# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0

"""Throw hostile answers at the mathematics reward: none may raise, hang, score, or leave a trace."""

import argparse
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.hostile import GOLD, answers
from verl_resrl.tasks.math_reward import compute_score

RIGHT_EVERY = 50  # a right answer now and then shows that the judge is still alive


def main() -> int:
    """Run the command line; returns its exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--answers", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--time-limit", type=float, default=1.0, help="seconds for each answer [1]")
    parser.add_argument("--threads", type=int, default=4, help="that ask at a time, as verl's reward workers do [4]")
    options = parser.parse_args()
    kinds, gave_up, bad = Counter[str](), Counter[str](), list[str]()
    start, longest = time.monotonic(), 0.0

    def ask(numbered: tuple[int, tuple[str, str]]) -> tuple[str, str, dict, float]:
        number, (kind, answer) = numbered
        if number % RIGHT_EVERY == 0:
            kind, answer = "right", f"\\boxed{{{GOLD}}}"
        asked = time.monotonic()
        result = compute_score("fuzz", answer, GOLD, time_limit=options.time_limit)
        return kind, answer[:80], result, time.monotonic() - asked

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(options.threads) as pool:
        canary = Path(folder) / "canary"
        stream = enumerate(islice(answers(options.seed, str(canary)), options.answers))
        while batch := list(islice(stream, 100)):
            for kind, answer, result, seconds in pool.map(ask, batch):
                kinds[kind] += 1
                gave_up[kind] += int(result["gave_up"])
                longest = max(longest, seconds)
                if result["score"] != float(kind == "right"):
                    bad.append(f"{kind}: {answer!r} -> {result}")
            print(f"\r{sum(kinds.values())}/{options.answers}", end="", file=sys.stderr, flush=True)
        if canary.exists():
            bad.append("the canary file is there: an answer was executed")
    print(file=sys.stderr)
    print(f"{options.answers} answers in {time.monotonic() - start:.0f} s, the longest took {longest:.1f} s")
    for kind, count in kinds.most_common():
        print(f"  {kind:10} {count:6}, given up {gave_up[kind]}")
    print("\n".join(["every answer was judged as it should be"] if not bad else bad[:20]))
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
