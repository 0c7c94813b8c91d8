# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The vocabulary of the benchmark: the size of a problem, one measured number, one unit of work."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch


@dataclass(frozen=True)
class Size:
    """How large one problem is.

    Attributes:
        groups: prompt groups.
        rollouts: sequences of each group; the first half of them is positive.
        response_tokens: tokens of each sequence.
        d: hidden size.
        k: rank of the positive subspaces.
        dtype: of the hidden states.
    """

    groups: int
    rollouts: int
    response_tokens: int
    d: int
    k: int
    dtype: torch.dtype

    @property
    def tokens(self) -> int:
        """Tokens of all sequences."""
        return self.groups * self.rollouts * self.response_tokens

    @property
    def dtype_name(self) -> str:
        """Such as ``bfloat16``."""
        return str(self.dtype).removeprefix("torch.")


@dataclass(frozen=True)
class Measurement:
    """One number; its fields are the first columns of the CSV.

    Attributes:
        question: one of ``QUESTIONS``.
        case: which of the question's problems.
        method: what was run.
        groups: prompt groups.
        rollouts: sequences of each group.
        tokens: tokens in all.
        d: hidden size.
        k: rank.
        dtype: of the hidden states.
        metric: what was measured.
        value: the number.
        unit: of the number; 1 for a pure number.
    """

    question: str
    case: str
    method: str
    groups: int
    rollouts: int
    tokens: int
    d: int
    k: int
    dtype: str
    metric: str
    value: float
    unit: str


@dataclass(frozen=True)
class Case:
    """One unit of work, of seconds to a few minutes.

    Attributes:
        question: one of ``QUESTIONS``.
        name: which of the question's problems; ``case`` of its measurements.
        measure: does the work.
    """

    question: str
    name: str
    measure: Callable[[], list[Measurement]]


def measurements(question: str, case: str, method: str, size: Size, values: dict[str, float]) -> list[Measurement]:
    """Turn the numbers of one method on one problem into rows.

    Args:
        question: one of ``QUESTIONS``.
        case: which of the question's problems.
        method: what was run.
        size: of the problem.
        values: by name of the metric, which ends in its unit: seconds, bytes, bytes_per_second; else a pure number.

    Returns:
        One measurement per value.
    """
    return [
        Measurement(
            question=question,
            case=case,
            method=method,
            groups=size.groups,
            rollouts=size.rollouts,
            tokens=size.tokens,
            d=size.d,
            k=size.k,
            dtype=size.dtype_name,
            metric=metric,
            value=value,
            unit=_unit(metric),
        )
        for metric, value in values.items()
    ]


def ratios(rows: list[Measurement], baseline: str) -> list[Measurement]:
    """Divide every method's numbers by the baseline's on the same problem.

    Args:
        rows: measurements of one problem.
        baseline: method to divide by.

    Returns:
        One measurement for each number of another method that the baseline has too; method ``<method> / <baseline>``.
    """
    denominators = {(row.case, row.metric): row.value for row in rows if row.method == baseline}
    return [
        replace(
            row, method=f"{row.method} / {baseline}", value=row.value / denominators[row.case, row.metric], unit="1"
        )
        for row in rows
        if row.method != baseline and denominators.get((row.case, row.metric))
    ]


def _unit(metric: str) -> str:
    if metric.endswith("bytes_per_second"):
        return "B/s"
    if metric.endswith("bytes"):
        return "B"
    return "s" if "seconds" in metric else "1"
