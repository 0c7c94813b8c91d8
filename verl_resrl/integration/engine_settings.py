# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""What the settings of every ResRL engine have in common, and what they refuse."""

from collections.abc import Collection
from typing import Any

from verl_resrl.algorithm.config import NEED_LOGITS, ResRLConfig

MODEL_TYPE = "resrl"  # of verl's engine registry, under which the engines of a ResRL run are found


def resrl_settings(resrl: Any, bypass_mode: bool) -> ResRLConfig:
    """Validate what the engine's configuration says of ResRL.

    Args:
        resrl: settings; a mapping with the fields of ``ResRLConfig`` is converted.
        bypass_mode: whether verl skips the old_log_prob pass (``algorithm.rollout_correction.bypass_mode``).

    Raises:
        ValueError: a setting is out of range, or the old_log_prob pass, which ResRL needs, is skipped.
    """
    if bypass_mode:
        raise ValueError(
            "ResRL takes its hidden states from the old_log_prob pass, which bypass mode skips: set "
            "algorithm.rollout_correction.bypass_mode=False (decoupled mode works), or use another +method="
        )
    return resrl if isinstance(resrl, ResRLConfig) else ResRLConfig(**resrl)


def check_engine(name: str, strategies: Collection[str], strategy: str) -> None:
    """Check that the configuration of this engine is the one of the actor's.

    Args:
        name: of the choice ``resrl_engine=``.
        strategies: values of ``actor_rollout_ref.actor.strategy`` that it is for.
        strategy: the actor's.

    Raises:
        ValueError: it is not.
    """
    if strategy not in strategies:
        other = "megatron" if strategy == "megatron" else "dp"
        advice = f"add resrl_engine={other}" if other != name else f"ResRL does not run on {strategy}"
        raise ValueError(
            f"ResRL: resrl_engine={name} is for {' and '.join(strategies)}, the actor's is {strategy}: {advice}"
        )


def check_logits(weighting: str, fused_kernels: bool, tensor_parallel: int = 1) -> None:
    """Refuse weightings that look at the model's predictions where nobody has them.

    Args:
        weighting: ``resrl.weighting``.
        fused_kernels: ``actor_rollout_ref.model.use_fused_kernels``, which never make logits.
        tensor_parallel: ranks that share Megatron's output head.

    Raises:
        ValueError: there are no whole logits; says what to change.
    """
    if weighting not in NEED_LOGITS:
        return
    if fused_kernels:
        raise ValueError(
            f"ResRL: resrl.weighting={weighting} needs logits, which fused kernels never make: set "
            "actor_rollout_ref.model.use_fused_kernels=False"
        )
    if tensor_parallel > 1:
        raise ValueError(
            f"ResRL: resrl.weighting={weighting} needs whole logits, and with tensor parallelism a rank has a "
            "part of the vocabulary: set actor_rollout_ref.actor.megatron.tensor_model_parallel_size=1 (pipeline and "
            "context parallelism work)"
        )
