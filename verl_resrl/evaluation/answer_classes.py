# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
r"""Answers of equal value are one answer: ``\frac{1}{2}``, ``0.5`` and ``1/2`` are three votes for it."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from verl_resrl.evaluation.samples import Sample

Same = Callable[[str, str], bool]


def with_common_names(group: Sequence[Sample], same: Same) -> list[Sample]:
    """Give equal answers to a problem the name of the first of them.

    Args:
        group: responses to one problem.
        same: the comparison of the reward function, by which a response is judged too.

    Returns:
        The responses in their order; those without an answer stay without.
    """
    names: dict[str, str] = {}  # as it is written -> as the first of its class is
    for sample in group:
        written = sample.answer
        if written is not None and written not in names:
            classes = dict.fromkeys(names.values())
            names[written] = next((name for name in classes if same(written, name)), written)
    return [replace(sample, answer=None if sample.answer is None else names[sample.answer]) for sample in group]
