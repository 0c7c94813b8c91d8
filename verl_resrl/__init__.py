# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""ResRL (negative sample projection residual RL, arXiv 2605.00380) for stock verl.

The data flow reads from the module names: ``sampling`` -> ``subspace`` -> ``residual`` -> ``weights`` ->
``advantage``. None of them imports verl, Ray or vLLM; everything that does lives in ``verl_resrl.integration`` and,
for machines without an accelerator, ``verl_resrl.cpu``.
"""

from verl_resrl.config import ResRLConfig
from verl_resrl.weights import TokenWeights, token_weights

__all__ = ["ResRLConfig", "TokenWeights", "token_weights"]
