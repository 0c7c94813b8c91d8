# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""ResRL (negative sample projection residual RL, arXiv 2605.00380) for stock verl.

The data flow reads from the module names: ``sampling`` -> ``subspace`` -> ``residual`` -> ``weights`` ->
``advantage``. None of them imports verl, Ray or vLLM; everything that does lives in ``verl_resrl.integration`` and,
for machines without an accelerator, ``verl_resrl.cpu``. ``verl_resrl.evaluation`` and ``verl_resrl.doctor`` are the
commands ``resrl eval`` and ``resrl doctor``.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from verl_resrl.algorithm.config import ResRLConfig
    from verl_resrl.algorithm.weights import TokenWeights, token_weights

__all__ = ["ResRLConfig", "TokenWeights", "token_weights"]

_MODULES = {"ResRLConfig": "config", "TokenWeights": "weights", "token_weights": "weights"}


def __getattr__(name: str) -> Any:
    """Import on first use: the command line and processes that judge answers must not wait for torch."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.algorithm.{_MODULES[name]}"), name)
