# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Checks the settings of a training run against the installed verl, without a GPU, and shows them.

``python -m verl_resrl.integration.dry_run OVERRIDE...`` takes what ``python -m verl.trainer.main_ppo`` takes. It
composes the configuration as verl does, validates it with verl's own checks, makes every part that needs no GPU
(settings of actor and rollout, reward function, reward manager), and looks at the data files.
"""

import argparse
import contextlib
import io
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf
from verl.trainer.ppo.core_algos import get_adv_estimator_fn
from verl.trainer.ppo.reward import get_custom_reward_fn, resolve_reward_manager_cls
from verl.trainer.ppo.utils import need_critic, need_reference_policy
from verl.utils.config import omega_conf_to_dataclass, validate_config

from verl_resrl.integration.start_checks import check_model as check_start_model
from verl_resrl.integration.start_checks import check_settings, remarks
from verl_resrl.integration.start_data import StartError, check_files
from verl_resrl.integration.start_resume import check_resume
from verl_resrl.tasks.length_reward import LengthScale

OTHER_FORMATS = (".json", ".jsonl")  # that verl reads
SHOWN = (
    "algorithm.adv_estimator",
    "resrl",
    "actor_rollout_ref.model.path",
    "data.train_batch_size",
    "actor_rollout_ref.actor.ppo_mini_batch_size",
    "actor_rollout_ref.rollout.n",
    "data.max_prompt_length",
    "data.max_response_length",
    "data.apply_chat_template_kwargs",
    "actor_rollout_ref.actor.optim.lr",
    "actor_rollout_ref.actor.optim.lr_warmup_steps",
    "actor_rollout_ref.actor.optim.weight_decay",
    "actor_rollout_ref.actor.clip_ratio_low",
    "actor_rollout_ref.actor.clip_ratio_high",
    "actor_rollout_ref.actor.loss_agg_mode",
    "actor_rollout_ref.actor.policy_loss.loss_mode",
    "actor_rollout_ref.actor.use_kl_loss",
    "algorithm.filter_groups.enable",
    "actor_rollout_ref.rollout.temperature",
    "actor_rollout_ref.rollout.val_kwargs.temperature",
    "actor_rollout_ref.rollout.val_kwargs.top_p",
    "actor_rollout_ref.rollout.val_kwargs.n",
    "reward.custom_reward_function.path",
    "reward.reward_manager.name",
    "reward.reward_kwargs",
    "actor_rollout_ref.rollout.multi_turn.enable",
    "actor_rollout_ref.rollout.agent.default_agent_loop",
    "trainer.nnodes",
    "trainer.n_gpus_per_node",
    "actor_rollout_ref.rollout.tensor_model_parallel_size",
    "trainer.total_training_steps",
    "trainer.default_local_dir",
)


class DryRunError(Exception):
    """A setting or a file is wrong; the message is one line."""


def compose_config(overrides: Sequence[str]) -> DictConfig:
    """Compose as verl's own entry point does, with the package's config groups on the search path.

    Args:
        overrides: in Hydra's grammar; those of ``hydra.*`` are for the entry point and are left out.

    Raises:
        DryRunError: a key or a value is not what verl's configuration has.
    """
    GlobalHydra.instance().clear()
    with initialize_config_module("verl.trainer.config", version_base=None):
        try:
            return compose("ppo_trainer", overrides=[text for text in overrides if not text.startswith("hydra.")])
        except Exception as error:
            raise DryRunError(one_line(error)) from error


def check(config: DictConfig) -> None:
    """Make and validate what can be without a GPU and without the model.

    Args:
        config: the composed configuration.

    Raises:
        DryRunError: one of the parts is wrong.
    """
    parts = {
        "a reference to another setting": lambda: OmegaConf.to_container(config, resolve=True),
        "verl's own checks": lambda: _validate(config),
        "actor_rollout_ref.actor": lambda: omega_conf_to_dataclass(config.actor_rollout_ref.actor),
        "actor_rollout_ref.rollout": lambda: omega_conf_to_dataclass(config.actor_rollout_ref.rollout),
        "algorithm.adv_estimator": lambda: get_adv_estimator_fn(config.algorithm.adv_estimator),
        "reward.custom_reward_function": lambda: get_custom_reward_fn(config),
        "reward.reward_manager": lambda: resolve_reward_manager_cls(config),
        "reward.reward_kwargs.length_scale": lambda: _length_scale(config),
        "actor_rollout_ref.model.path": lambda: _check_model(config.actor_rollout_ref.model.path),
        "sizes": lambda: _check_sizes(config),
    }
    for name, make in parts.items():
        try:
            make()
        except Exception as error:
            raise DryRunError(f"{name}: {one_line(error)}") from error


def _validate(config: DictConfig) -> None:
    validate_config(config, use_reference_policy=need_reference_policy(config), use_critic=need_critic(config))


def _length_scale(config: DictConfig) -> None:
    LengthScale(**((config.reward.get("reward_kwargs") or {}).get("length_scale") or {}))


def _check_model(path: str | None) -> None:
    """A folder must be a model; a name on the hub cannot be looked up without the network."""
    if not path or path.startswith("~/models"):  # verl's own default
        raise ValueError("no model is named")
    if path.startswith(("/", ".", "~")) and not (Path(path).expanduser() / "config.json").is_file():
        raise ValueError(f"{path} is not the folder of a Hugging Face model: it has no config.json")


def _check_sizes(config: DictConfig) -> None:
    gpus = config.trainer.nnodes * config.trainer.n_gpus_per_node
    prompts = config.data.train_batch_size  # with a mini-batch that does not divide it, verl adds empty sequences
    for name, whole, what in (
        ("rollout.tensor_model_parallel_size", gpus, "GPUs"),
        ("actor.ppo_mini_batch_size", prompts, "prompts of data.train_batch_size"),
    ):
        part = OmegaConf.select(config.actor_rollout_ref, name)
        if whole % part:
            raise ValueError(f"actor_rollout_ref.{name}={part} does not divide the {whole} {what}")


def check_data(files: Any, missing_ok: bool) -> list[str]:
    """Look whether there are parquet files with rows; ``check_files`` looks at their columns.

    Args:
        files: one path or several.
        missing_ok: whether a file that is not there is no error.

    Returns:
        A line about each file; those of verl's other formats are only said to be there.

    Raises:
        DryRunError: a file is missing, is no parquet file or is empty.
    """
    lines = []
    for name in [files] if isinstance(files, str) else files:
        path = Path(name).expanduser()
        if not path.exists():
            if not missing_ok:
                raise DryRunError(f"{path}: no such file; docs/reproduction.md says what makes it")
            lines.append(f"{path}: not there yet, docs/reproduction.md says what makes it")
            continue
        if path.suffix in OTHER_FORMATS:
            lines.append(f"{path}: not looked into, only parquet files are")
            continue
        try:
            table = pq.ParquetFile(path)
        except Exception as error:
            raise DryRunError(f"{path}: not a parquet file: {one_line(error)}") from error
        if table.metadata.num_rows == 0:
            raise DryRunError(f"{path}: has no rows")
        lines.append(f"{path}: {table.metadata.num_rows} rows")
    return lines


def effective(config: DictConfig) -> dict[str, Any]:
    """The settings worth a look, by their dotted names; those that the configuration lacks are left out."""
    found: dict[str, Any] = {}
    for name in SHOWN:
        value = OmegaConf.select(config, name)
        if isinstance(value, DictConfig):
            found |= {f"{name}.{key!s}": value[key] for key in value}
        elif value is not None:
            found[name] = value
    return found


def one_line(error: BaseException) -> str:
    """What an exception says, without line breaks."""
    return " ".join(str(error).split()) or type(error).__name__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: of the command line.

    Returns:
        Exit status: 0, or 1 after one line on stderr about what is wrong.
    """
    parser = argparse.ArgumentParser(
        prog="python -m verl_resrl.integration.dry_run",
        description="Check the settings of a training run against the installed verl, without a GPU, and show them.",
    )
    parser.add_argument("--missing-data-ok", action="store_true", help="data files may be made later")
    parser.add_argument("overrides", nargs="*", help="what follows `python -m verl.trainer.main_ppo`")
    options = parser.parse_args(arguments)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            config = compose_config(options.overrides)
            check(config)
            data = [
                f"data.{split}_files  {line}"
                for split in ("train", "val")
                for line in check_data(config.data[f"{split}_files"], options.missing_data_ok)
            ]
            check_settings(config)
            check_files(config)
            check_start_model(config)
            check_resume(config)
    except (DryRunError, StartError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    shown = effective(config)
    width = max(map(len, shown))
    print("\n".join([*(f"{name:{width}}  {value}" for name, value in shown.items()), *data, *remarks(config)]))
    print("the configuration is valid")
    return 0


if __name__ == "__main__":
    sys.exit(main())
