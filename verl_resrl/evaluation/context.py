# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""How many tokens a model was made for, prompt and response together."""

from typing import Any

from verl_resrl.evaluation.settings import EvaluationError

# kinds of scaled positions that lengthen ``max_position_embeddings``; with others it is the scaled length already
LENGTHENING = ("linear", "dynamic")


def context_of(model: str) -> int | None:
    """Read the context of a model from its configuration, as vLLM does.

    Args:
        model: Hugging Face model.

    Returns:
        In tokens; None if the configuration names none.

    Raises:
        EvaluationError: transformers cannot read the configuration.
    """
    from transformers import AutoConfig

    try:
        config: Any = AutoConfig.from_pretrained(model).get_text_config()
    except Exception as error:  # of transformers and the hub's client
        reason = " ".join(str(error).split())[:300]
        raise EvaluationError(f"{model}: its configuration cannot be loaded ({reason})") from None
    length = getattr(config, "max_position_embeddings", None)
    if not length:
        return None
    rope = getattr(config, "rope_parameters", None) or {}
    return int(length * (rope.get("factor") or 1)) if rope.get("rope_type") in LENGTHENING else int(length)
