# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""What the installed verl knows of this package: facts for ``resrl doctor``, which does not import verl itself.

verl is imported by the functions, not by the module: a broken installation must fail in the check that looks at it.
"""

import sys
from functools import cache
from importlib import import_module, resources
from typing import Any

PLUGIN = "verl_resrl.integration.plugin"


def estimators_after_import() -> tuple[bool, set[str]]:
    """Import verl in this process, which loads its plugins.

    Returns:
        Whether our plugin is loaded, and the names of verl's advantage estimators.
    """
    import verl  # noqa: F401
    from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY

    return PLUGIN in sys.modules, set(ADV_ESTIMATOR_REGISTRY)


def policy_losses() -> set[str]:
    """Names of verl's policy losses."""
    from verl.trainer.ppo.core_algos import POLICY_LOSS_REGISTRY

    return set(POLICY_LOSS_REGISTRY)


def import_trainer() -> None:
    """Import verl's trainer and all that it needs; part of it is not among verl's requirements.

    Raises:
        ImportError: something is missing.
    """
    import_module("verl.trainer.ppo.v1")


def switches() -> list[tuple[str, str]]:
    """(group, name) of every config file that we put on Hydra's search path, such as ("method", "resrl")."""
    folder = resources.files("verl_resrl.integration") / "config"
    return [
        (group.name, file.name.removesuffix(".yaml"))
        for group in sorted(folder.iterdir(), key=lambda path: path.name)
        if group.is_dir()
        for file in sorted(group.iterdir(), key=lambda path: path.name)
        if file.name.endswith(".yaml")
    ]


@cache
def composed(*overrides: str) -> Any:
    """Compose verl's configuration as ``python -m verl.trainer.main_ppo`` does.

    Raises:
        hydra.errors.HydraException: it does not compose.
    """
    from hydra import compose, initialize_config_module

    with initialize_config_module("verl.trainer.config", version_base=None):
        return compose("ppo_trainer", overrides=list(overrides))


def load_named_classes() -> None:
    """Load the classes that our switches name for verl to find: reward manager and agent loop manager.

    Raises:
        Exception: what verl raises if it cannot find one.
    """
    from verl.utils.import_utils import load_class_from_fqn, load_extern_object

    reward = composed("+reward_manager=length_scaled").reward.reward_manager
    load_extern_object(reward.module.path, reward.name)
    load_class_from_fqn(composed("+metrics=pass_at_k").actor_rollout_ref.rollout.agent.agent_loop_manager_class)


def engines(config: Any) -> dict[str, str]:
    """Find the engines of a configuration; its actor's settings register ours.

    Args:
        config: composed.

    Returns:
        Backend -> name of the class, of those that verl finds on this machine: "fsdp" needs an accelerator.
    """
    from verl.utils.config import omega_conf_to_dataclass
    from verl.workers.engine import EngineRegistry

    omega_conf_to_dataclass(config.actor_rollout_ref.actor)
    found = {}
    for backend in ("fsdp", "fsdp2"):
        try:
            engine = EngineRegistry.get_engine_cls(config.actor_rollout_ref.model.model_type, backend)
        except (AssertionError, ValueError):
            continue
        found[backend] = engine.__name__
    return found
