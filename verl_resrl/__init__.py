# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""ResRL (negative sample projection residual RL, arXiv 2605.00380) for stock verl.

The rooms, from the lowest to the highest; imports run from higher to lower ones:

- ``algorithm``: hidden states -> weights -> advantages; no verl, Ray or vLLM.
- ``statistics``, ``runs``: what several commands count with, and what a training leaves behind.
- ``tasks``: data and rewards.
- ``cpu``: verl on a machine without an accelerator.
- ``integration``: ResRL inside verl.
- ``evaluation``, ``report``, ``doctor``: the commands ``resrl eval``, ``resrl compare`` and ``resrl doctor``.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from verl_resrl.algorithm.config import ResRLConfig
    from verl_resrl.algorithm.interference import interference
    from verl_resrl.algorithm.weights import TokenWeights, token_weights

__all__ = ["ResRLConfig", "TokenWeights", "interference", "token_weights"]

_MODULES = {
    "ResRLConfig": "config",
    "TokenWeights": "weights",
    "interference": "interference",
    "token_weights": "weights",
}


def __getattr__(name: str) -> Any:
    """Import on first use: the command line and processes that judge answers must not wait for torch."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.algorithm.{_MODULES[name]}"), name)
