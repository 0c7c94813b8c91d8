# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Time, memory and size of ``resrl compare`` on synthetic evaluations: ``python -m benchmarks.report_scale``.

Two methods with five seeds each. Sizes are given as CHECKPOINTSxPROBLEMSxSAMPLES, checkpoints of all runs together;
with a "c" behind it, the samples have been counted by an earlier comparison.
"""

import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console

from verl_resrl.report.samples import keep, state_of
from verl_resrl.report.write import write_comparison
from verl_resrl.statistics.passk import pass_at_k, powers_of_two

METHODS, SEEDS = ("grpo", "resrl"), 5
SIZES = ("20x200x128", "100x200x128", "20x1000x128", "20x200x16", "100x10000x128c", "1000x10000x128c")
PROMPT_CHARACTERS, RESPONSE_CHARACTERS = 400, 2000


def write_runs(root: Path, checkpoints: int, problems: int, samples: int, counted: bool) -> list[Path]:
    """Write what trainings and their evaluations leave.

    Args:
        root: where to.
        checkpoints: of all runs together.
        problems: evaluated.
        samples: of each.
        counted: whether an earlier comparison has counted the samples, which then need not be there.
    """
    rng = np.random.default_rng(0)
    each = checkpoints // (len(METHODS) * SEEDS)
    skill = rng.normal(size=problems)
    folders = []
    for method in METHODS:
        for seed in range(SEEDS):
            run = root / f"{method}-{seed}"
            (run / "hydra" / ".hydra").mkdir(parents=True)
            text = f"data: {{seed: {seed}}}\ntrainer: {{experiment_name: {method}}}\n"
            (run / "hydra" / ".hydra" / "config.yaml").write_text(text)
            (run / "metrics").mkdir()
            lines = [json.dumps({"step": step, "data": {"critic/score/mean": step / each}}) for step in range(1, each)]
            (run / "metrics" / "0000.jsonl").write_text("\n".join(lines) + "\n")
            for step in range(each):
                right = rng.binomial(samples, 1 / (1 + np.exp(-skill - step / each)))
                _write_evaluation(run / "evaluations" / f"step_{step}", right, samples, counted)
            folders.append(run)
    return folders


def _write_evaluation(folder: Path, right: np.ndarray, samples: int, counted: bool) -> None:
    folder.mkdir(parents=True)
    file = folder / "samples.jsonl"
    prompts = [f"{problem} ".ljust(PROMPT_CHARACTERS, "p") for problem in range(len(right))]
    with file.open("w") as lines:
        for problem, count in enumerate(() if counted else right):
            for sample in range(samples):
                row = {"problem": problem, "sample": sample, "data_source": "synthetic", "prompt": prompts[problem]}
                row |= {"response": "r" * RESPONSE_CHARACTERS, "correct": bool(sample < count), "num_tokens": 500}
                lines.write(json.dumps(row) + "\n")
    if counted:
        counts = pd.DataFrame({"problem": range(len(right)), "data_source": "synthetic", "prompt": prompts})
        counts = counts.assign(num_samples=samples, num_correct=right, mean_length=500.0)
        counts["prompt"] = [hashlib.sha256(prompt.encode()).hexdigest()[:16] for prompt in prompts]
        keep(counts, file, state_of(file))

    def share(values: np.ndarray) -> dict[str, float]:
        return dict.fromkeys(("mean", "low", "high"), float(values.mean()))

    passes = {str(k): share(pass_at_k(samples, right, k)) for k in powers_of_two(samples)}
    part = {"num_problems": len(right), "num_samples": samples, "avg_at_n": share(right / samples), "pass_at_k": passes}
    (folder / "summary.json").write_text(json.dumps({"overall": part, "data_sources": {"synthetic": part}}))


def measure(size: str) -> str:
    """Compare runs of a size twice; one line of a Markdown table.

    Args:
        size: see above.
    """
    counted = size.endswith("c")
    checkpoints, problems, samples = map(int, size.removesuffix("c").split("x"))
    with tempfile.TemporaryDirectory() as root:
        folders = write_runs(Path(root), checkpoints, problems, samples, counted)
        seconds = []
        for _ in range(1 if counted else 2):
            begin = time.process_time()
            files, _notes = write_comparison(folders, Path(root) / "out", METHODS[0], True, Console(quiet=True))
            seconds.append(time.process_time() - begin)
        page = files[0].stat().st_size / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    times = ("-", f"{seconds[0]:.1f}") if counted else tuple(f"{value:.1f}" for value in seconds)
    cells = (f"{checkpoints:,}", f"{problems:,}", f"{samples:,}", *times)
    return f"| {' | '.join([*cells, f'{peak:,.0f}', f'{page:.1f}'])} |"


def main(arguments: Sequence[str]) -> None:
    """Measure each size in a process of its own."""
    if len(arguments) == 2 and arguments[0] == "--one":
        print(measure(arguments[1]), flush=True)
        return
    print(
        "| checkpoints | problems | samples | s | s again | peak MiB | page MB |\n|---|---|---|---|---|---|---|",
        flush=True,
    )
    for size in arguments or SIZES:
        subprocess.run([sys.executable, "-m", "benchmarks.report_scale", "--one", size], check=True)


if __name__ == "__main__":
    main(sys.argv[1:])
