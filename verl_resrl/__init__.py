# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""ResRL (negative sample projection residual RL, arXiv 2605.00380) for stock verl.

The data flow reads from the module names: ``sampling`` -> ``subspace`` -> ``residual`` -> ``weights`` ->
``advantage``. None of them imports verl, Ray or vLLM; everything that does lives in ``verl_resrl.integration`` and,
for machines without an accelerator, ``verl_resrl.cpu``. ``verl_resrl.evaluation`` and ``verl_resrl.doctor`` are the
commands ``resrl eval`` and ``resrl doctor``.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from verl_resrl.config import ResRLConfig
    from verl_resrl.weights import TokenWeights, token_weights

__all__ = ["ResRLConfig", "TokenWeights", "token_weights"]


def __getattr__(name: str) -> Any:
    """Import the public names when they are asked for: the command line must not wait for torch."""
    if name == "ResRLConfig":
        from verl_resrl.config import ResRLConfig

        return ResRLConfig
    if name in __all__:
        from verl_resrl import weights

        return getattr(weights, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
