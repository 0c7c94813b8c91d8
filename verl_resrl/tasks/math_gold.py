# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Right answers to mathematics in what data sets keep them in: texts, numbers, lists, dicts."""

import math
from collections.abc import Mapping, Sequence
from typing import Any


def check_ground_truth(ground_truth: object) -> str:
    """The text of a right answer, whatever a data set keeps it in.

    Args:
        ground_truth: LaTeX or plain text; a number; a list of one of these; or a dict with one of these as "target",
            as data prepared for TinyZero and RLVR-Decomposed have it.

    Raises:
        ValueError: it is anything else, empty, or a list of several: which would be all answers, or any of them.
    """
    value = ground_truth.get("target") if isinstance(ground_truth, Mapping) else ground_truth
    value = _plain(value)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes) and len(value) == 1:
        value = _plain(value[0])
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return str(value)
    if isinstance(value, str) and value.strip():
        return value
    raise ValueError(
        "math reward: ground_truth must be the right answer: a text, a number, a list of one of them, or a dict with "
        f"one of them as 'target', got {str(ground_truth)[:200]!r} ({type(ground_truth).__name__})"
    )


def _plain(value: Any) -> Any:
    """NumPy's numbers and arrays, which pandas makes of parquet's, as Python's."""
    return value.tolist() if hasattr(value, "tolist") else value
