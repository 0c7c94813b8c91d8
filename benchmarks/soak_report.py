# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""What came out of a soak: a CSV of the samples, a plot, and a verdict that fits on a screen."""

import csv
import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path
from statistics import median

import matplotlib

matplotlib.use("Agg")  # no display needed
from matplotlib import pyplot as plt
from rich.console import Console

from benchmarks.process_memory import Growth, Sample, growth_after_warm_up

SMALLEST_MIB = 1.0  # a process that grew by less than this did not grow: allocators round to pages and arenas


@dataclass(frozen=True)
class Result:
    """A soak that has ended.

    Attributes:
        samples: memory of the processes.
        metrics: what verl logged, by step.
        steps: that were asked for.
        warm_up: first steps, whose memory does not count.
        ranks: data-parallel ranks.
        limit: growth after the warm-up that is still no growth.
        problem: why verl stopped early; empty if it did not.
    """

    samples: Sequence[Sample]
    metrics: Mapping[int, Mapping[str, float]]
    steps: int
    warm_up: int
    ranks: int
    limit: float
    problem: str = ""

    @property
    def failed_steps(self) -> list[int]:
        """Steps that verl did not log, or whose gradient or loss is not finite."""
        return [
            step
            for step in range(1, self.steps + 1)
            if not all(
                math.isfinite(self.metrics.get(step, {}).get(f"actor/{m}", math.nan)) for m in ("grad_norm", "loss")
            )
        ]

    def grew(self, growth: Growth) -> bool:
        """Whether a process has grown by more than the limit."""
        return growth.fraction > self.limit and growth.after_mib - growth.before_mib > SMALLEST_MIB


def write_soak_report(folder: Path, result: Result, console: Console) -> bool:
    """Write ``soak.csv``, ``soak.png`` and ``soak.txt`` and print the latter.

    Args:
        folder: of the files.
        result: of the soak.
        console: where to print.

    Returns:
        Whether every step succeeded and no memory grew.
    """
    with (folder / "soak.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Sample)])
        writer.writeheader()
        for sample in result.samples:
            row = asdict(sample)
            writer.writerow({name: round(v, 1) if isinstance(v, float) else v for name, v in row.items()})
    _plot(result, folder / "soak.png")
    lines, good = verdict(result)
    (folder / "soak.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)
    console.print(f"{folder}/soak.csv, soak.png, soak.txt", highlight=False, soft_wrap=True)
    return good


def verdict(result: Result) -> tuple[list[str], bool]:
    """Judge a soak.

    Returns:
        The lines of the report, and whether every step succeeded and no memory grew.
    """
    packages = ", ".join(f"{name} {version(name)}" for name in ("verl", "torch", "ray", "transformers"))
    seconds = [m["timing_s/step"] for m in result.metrics.values() if "timing_s/step" in m]
    fallbacks = sum(m.get("actor/resrl/fallback_non_finite_count", 0) for m in result.metrics.values())
    failed = result.failed_steps
    lines = [
        f"Soak: ResRL on Countdown, {result.steps} steps, {result.ranks} data-parallel ranks, {_machine()}",
        f"{packages}, Python {platform.python_version()}",
        f"steps failed: {len(failed)}" + (f" ({_short(failed)})" if failed else ""),
        f"groups that fell back because of numbers that are not finite: {fallbacks:.0f}",
    ]
    if result.problem:
        lines.append(result.problem)
    if seconds:
        half = len(seconds) // 2 or 1
        lines.append(
            f"seconds per step: median {median(seconds):.2f} (first half {median(seconds[:half]):.2f}, "
            f"second half {median(seconds[half:] or seconds):.2f}), largest {max(seconds):.2f}"
        )
    try:
        growths = growth_after_warm_up(result.samples, result.warm_up, result.steps)
    except ValueError as error:
        return [*lines, str(error), "verdict: FAILED"], False
    lines += [
        f"memory after the first {result.warm_up} steps: median of the first and of the last fifth of the other steps,",
        f"proportional set size (PSS) in MiB; more than {result.limit:.0%} and {SMALLEST_MIB:.0f} MiB is growth",
        f"  {'process':34}{'pid':>8}{'first':>10}{'last':>10}{'growth':>9}",
    ]
    for growth in growths:
        mark = "  GREW" if result.grew(growth) else ""
        lines.append(
            f"  {growth.role[:33]:34}{growth.pid or '':>8}{growth.before_mib:>10.1f}{growth.after_mib:>10.1f}"
            f"{growth.fraction:>9.2%}{mark}"
        )
    good = not failed and not result.problem and not any(result.grew(growth) for growth in growths)
    return [*lines, f"verdict: {'passed' if good else 'FAILED'}"], good


def _plot(result: Result, path: Path) -> None:
    figure, axes = plt.subplots(figsize=(8, 5), dpi=120)
    roles = {sample.pid: sample.role for sample in result.samples}
    for pid, role in roles.items():
        own = [sample for sample in result.samples if sample.pid == pid]
        if max(sample.pss_mib for sample in own) >= 50:  # the others would be a line along the bottom
            axes.plot([s.step for s in own], [s.pss_mib for s in own], label=f"{role} {pid}")
    axes.axvline(result.warm_up, color="grey", linestyle=":")
    axes.set(xlabel="training step", ylabel="proportional set size (MiB)", title="Memory of each process of the run")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


def _machine() -> str:
    return f"{os.cpu_count()} cores ({platform.machine()})"


def _short(steps: Sequence[int]) -> str:
    return ", ".join(map(str, steps[:10])) + (", ..." if len(steps) > 10 else "")
