# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""What can be known before the first step: a wrong setting or file stops the run with one line, an odd one is said.

A callback of Hydra, which every ``+method=`` brings along: it runs in verl's own process when the configuration is
composed and nothing has been started yet.
"""

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from verl_resrl.algorithm.config import ResRLConfig
from verl_resrl.integration.advantages import SCALE_POSITIVES
from verl_resrl.integration.engine_settings import MODEL_TYPE, check_logits
from verl_resrl.integration.estimators import KL_IN_REWARD, OWN_ESTIMATORS
from verl_resrl.integration.start_data import StartError, check_files
from verl_resrl.integration.start_resume import check_resume

logger = logging.getLogger(__name__)
# estimators that give wrong responses the advantage 0: all of them, or all but one response of a group
WITHOUT_NEGATIVES = ("psr", "grpo_passk")


class StartChecks(Callback):
    """Look at a run before it starts."""

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Called by Hydra after composing the configuration and before verl's main function."""
        try:
            check_settings(config)
            check_files(config)
            check_model(config)
            check_resume(config)
        except StartError as error:
            # Hydra turns exceptions of a callback into warnings
            print(f"error: {error}", file=sys.stderr, flush=True)
            raise SystemExit(1) from None
        for remark in remarks(config):
            logger.warning(remark)


def check_settings(config: DictConfig) -> None:
    """Check the settings of a method of ours.

    Args:
        config: verl's, composed.

    Raises:
        StartError: one is out of range, or the rewards would not tell which responses are right.
    """
    settings = OmegaConf.select(config, "resrl")
    if settings is None:
        return
    try:
        ResRLConfig(**settings)
    except (TypeError, ValueError) as error:  # of names, and of values
        raise StartError(str(error).replace("ResRLConfig.__init__()", "resrl")) from None
    if config.algorithm.adv_estimator in OWN_ESTIMATORS and config.algorithm.use_kl_in_reward:
        raise StartError(KL_IN_REWARD)
    trainer = config.trainer
    if trainer.device == "cpu" and trainer.nnodes > 1 and trainer.v1.trainer_mode == "separate_async":
        raise StartError(
            "ResRL: trainer.v1.trainer_mode=separate_async on CPUs sends weights within one machine: set "
            "trainer.nnodes=1 or another mode"
        )
    without_engine = OmegaConf.select(config, "actor_rollout_ref.model.model_type") != MODEL_TYPE
    if without_engine and "lambda_pos" in settings and config.algorithm.adv_estimator not in SCALE_POSITIVES:
        raise StartError(
            f"ResRL: nothing here applies resrl.lambda_pos with algorithm.adv_estimator="
            f"{config.algorithm.adv_estimator}: keep the one of the method"
        )


def remarks(config: DictConfig) -> Iterator[str]:
    """What is allowed and most likely not meant: settings under which ResRL's weights change nothing.

    Args:
        config: verl's, composed.
    """
    if OmegaConf.select(config, "actor_rollout_ref.model.model_type") != MODEL_TYPE:
        return
    estimator = config.algorithm.adv_estimator
    if estimator in WITHOUT_NEGATIVES:
        yield (
            f"ResRL: algorithm.adv_estimator={estimator} gives wrong responses no advantage: there is nothing to weigh"
        )
    if config.resrl.measure_lld and not has_whole_logits(config):
        yield (
            "ResRL: resrl.measure_lld=True measures displacement without resrl/interference_mean and lld_predicted: "
            "with fused kernels or Megatron's tensor parallelism no process has whole logits"
        )
    if config.actor_rollout_ref.rollout.n == 1:
        yield "ResRL: actor_rollout_ref.rollout.n=1: one response is never right and wrong, so nothing is weighed"
    if config.actor_rollout_ref.actor.policy_loss.loss_mode == "geo_mean":
        yield (
            "ResRL: actor_rollout_ref.actor.policy_loss.loss_mode=geo_mean averages the advantages of a response: its "
            "tokens no longer differ in weight"
        )


def has_whole_logits(config: DictConfig) -> bool:
    """Whether a process of the actor will see the whole distribution of a prediction."""
    return _kernels_and_ranks(config) == (False, 1)


def _kernels_and_ranks(config: DictConfig) -> tuple[bool, int]:
    """Whether kernels are fused, and how many ranks share an output head."""
    actor = config.actor_rollout_ref.actor
    ranks = actor.megatron.tensor_model_parallel_size if actor.strategy == "megatron" else 1
    return bool(config.actor_rollout_ref.model.get("use_fused_kernels")), ranks


def check_model(config: DictConfig) -> None:
    """Look at a model that is here: a name on the hub is looked up by verl.

    Args:
        config: verl's, composed.

    Raises:
        StartError: its tokenizer has no chat template, or ResRL does not support its architecture, or not with these
            settings.
    """
    settings = config.actor_rollout_ref.model
    if settings.get("model_type") == MODEL_TYPE:
        try:
            check_logits(config.resrl.weighting, *_kernels_and_ranks(config))
        except ValueError as error:
            raise StartError(str(error)) from None
    folder = Path(str(settings.path)).expanduser()
    if not (folder / "config.json").is_file():
        return
    from transformers import AutoConfig, AutoTokenizer

    from verl_resrl.integration.tap import num_decoder_layers

    trusted = bool(settings.get("trust_remote_code"))
    try:
        tokenizer = AutoTokenizer.from_pretrained(settings.get("tokenizer_path") or folder, trust_remote_code=trusted)
        hf_config = AutoConfig.from_pretrained(folder, trust_remote_code=trusted)
    except Exception:  # verl will say what is wrong with it
        return
    if not tokenizer.chat_template and not settings.get("custom_chat_template"):
        raise StartError(
            f"{folder}: its tokenizer has no chat template, which verl needs to write a prompt: take the model's chat "
            "variant, or set actor_rollout_ref.model.custom_chat_template"
        )
    if settings.get("model_type") == MODEL_TYPE:
        try:
            num_decoder_layers(hf_config)
        except ValueError as error:
            raise StartError(str(error)) from None
