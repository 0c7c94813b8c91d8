# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Everything that there is to measure on a device, in order."""

from collections.abc import Callable, Collection

from benchmarks.exchange_cost import exchange_cases
from benchmarks.generation import generation_cases
from benchmarks.interference_cost import interference_cases
from benchmarks.questions import QUESTIONS
from benchmarks.record import Case
from benchmarks.residual_bandwidth import residual_cases
from benchmarks.token_weights_cost import growth_cases, weight_cases
from benchmarks.training_step import step_cases

_CASES: dict[str, Callable[[str], list[Case]]] = {
    "weights": weight_cases,
    "interference": interference_cases,
    "residual": residual_cases,
    "step": step_cases,
    "exchange": exchange_cases,
    "generation": generation_cases,
    "growth": growth_cases,
}


def all_cases(device: str, questions: Collection[str]) -> list[Case]:
    """List the cases of some questions.

    Args:
        device: ``cuda`` or ``cpu``.
        questions: names of them.

    Returns:
        Cases in the order of ``QUESTIONS``.
    """
    return [case for question in QUESTIONS if question in questions for case in _CASES[question](device)]
