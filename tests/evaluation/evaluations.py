# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Small evaluations: rows, a reward, and the command ``resrl eval`` in this process."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from typer.testing import CliRunner

from verl_resrl.cli import app

# ends its process after so many calls, as kill -9 would, if the variable is set
REWARD = """
import itertools, os, signal
calls = itertools.count(1)

def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    if next(calls) == int(os.environ.get("KILL_AT_CALL", 0)):
        os.kill(os.getpid(), signal.SIGKILL)
    return float("7" in solution_str)
"""
SAMPLES, PROBLEMS = 4, 6


def row(number: int) -> dict[str, Any]:
    return {
        "data_source": ("even", "odd")[number % 2],
        "prompt": [{"role": "user", "content": f"t{3 + number}"}],
        "reward_model": {"style": "rule", "ground_truth": ""},
        "extra_info": {"index": number},
    }


def write_rows(path: Path, *rows: dict[str, Any]) -> Path:
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return path


def arguments(task: Path, out: Path, *more: str) -> list[str]:
    # prompts of up to so many tokens leave room for three responses in a batch: several batches
    return [
        *("eval", "--model", str(task / "model"), "--data", str(task / "data.parquet"), "--out", str(out)),
        *("--n", str(SAMPLES), "--max-tokens", "8", "--max-prompt-tokens", "8192"),
        *("--reward-file", str(task / "reward.py"), *more),
    ]


def call(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.stdout, result.stderr


def samples_in(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
