# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""In which precision trainings and evaluations without a GPU compute."""

from collections.abc import Mapping
from typing import Any

from knobs import SMALL
from settings import Settings

BFLOAT16 = ("avx512_bf16", "amx_bf16")  # instructions that multiply matrices about twice as fast


def device_group(settings: Settings) -> str:
    """Choose what follows ``+device=`` where there is no GPU.

    Args:
        settings: of the run.

    Returns:
        "cpu_bf16" for a pretrained model where the CPU computes in bfloat16. "cpu" elsewhere, and for the small model,
        whose products are too small to gain from it.
    """
    pretrained = settings.model is not None or settings.start != SMALL
    return "cpu_bf16" if pretrained and computes_in_bfloat16() else "cpu"


def evaluation_dtype(settings: Settings) -> str:
    """Choose ``resrl eval --dtype``: that of the training, which on a GPU is bfloat16 anyway.

    Args:
        settings: of the run.
    """
    return "bfloat16" if device_group(settings) == "cpu_bf16" else "auto"


def computes_in_bfloat16() -> bool:
    """Whether this CPU has such instructions; a PyTorch that is too old to tell counts as no."""
    import torch  # not above: who imports this sets variables that torch reads when it is loaded

    capabilities: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name, False) for name in BFLOAT16)
