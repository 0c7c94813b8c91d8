#!/usr/bin/env python3
# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E402 (the folder of ``benchmarks`` goes on the path first)
"""Measures what the token weights cost and how exact they are; scripts/benchmark.sh installs what this needs."""

import argparse
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
sys.path.insert(0, str(ROOT))  # ``benchmarks`` is not installed

from benchmarks.questions import NEEDS_GPU, QUESTIONS

DESCRIPTION = "Measures the token weights of ResRL: time, memory and exactness.\n\nquestions:\n" + "\n".join(
    f"  {name:12} {asks}{' (NVIDIA GPU only)' if name in NEEDS_GPU else ''}" for name, asks in QUESTIONS.items()
)
EPILOG = """\
Takes about twelve minutes on two cores. Uses the GPU if there is one; CUDA_VISIBLE_DEVICES= measures the CPU instead.
Writes benchmarks/results/<cpu or cuda>.csv, one number a row, and a plot of each question beside it; prints the ratios
to the eager method, with our targets. Ctrl-C keeps what was measured so far.

examples:
  bash scripts/benchmark.sh
  bash scripts/benchmark.sh --only weights growth
"""


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line; --help needs nothing but Python."""
    parser = argparse.ArgumentParser(
        prog="scripts/benchmark.sh",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=list(QUESTIONS),
        default=list(QUESTIONS),
        metavar="QUESTION",
        help="measure these questions; the file keeps its rows of the others",
    )
    return parser.parse_args(arguments)


def main() -> int:
    """Run the benchmark; 0 if it finished, 130 when stopped."""
    arguments = parse(sys.argv[1:])
    # Both are read when torch is loaded. Threads that spin while they wait make calls ten times as slow as soon as
    # another process uses a core.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # PyTorch's profiler announces every start and stop

    import torch
    from rich.console import Console

    from benchmarks.run import run

    console = Console(width=None if sys.stdout.isatty() else 110)  # what the tables need
    return run("cuda" if torch.cuda.is_available() else "cpu", arguments.only, RESULTS, console)


if __name__ == "__main__":
    sys.exit(main())
