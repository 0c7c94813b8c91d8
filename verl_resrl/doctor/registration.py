# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Whether verl knows our names: plugin, config groups, registries, engine."""

import os
import sys
from functools import cache
from importlib import import_module, resources
from importlib.metadata import entry_points
from typing import Any

from verl_resrl.doctor.finding import Problem

PLUGIN = "verl_resrl.integration.plugin"
POLICY = "VERL_USE_EXTERNAL_PLUGINS"
# verl has no default for the size of micro-batches, and no opinion is wanted here
DYNAMIC = "actor_rollout_ref.actor.use_dynamic_bsz=True"


def check_plugin() -> str:
    """Importing verl in this process loads our plugin, which registers its estimators."""
    import verl  # noqa: F401
    from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY

    points = [point for point in entry_points(group="verl.plugins") if point.value == PLUGIN]
    if not points:
        raise Problem("verl does not find our entry point 'verl.plugins'", "pip install -e . once more in this Python")
    policy = os.environ.get(POLICY, "auto").strip().lower()
    if policy != "auto" and "verl_resrl" not in policy.split(","):
        raise Problem(f"{POLICY}={policy} keeps verl from loading it", f"unset {POLICY}, or add verl_resrl to it")
    if PLUGIN not in sys.modules or "resrl" not in ADV_ESTIMATOR_REGISTRY:
        raise Problem(
            "it could not be loaded", "fix the error that was logged above ('verl_resrl could not be loaded')"
        )
    return "loaded with verl"


def check_trainer() -> str:
    """All that verl's trainer imports is installed; part of it is not among verl's requirements."""
    try:
        import_module("verl.trainer.ppo.v1")
    except ImportError as error:
        raise Problem(
            f"it cannot be imported: {error}", "pip install -e .[gpu], or pip install -e .[cpu] without a GPU"
        ) from error
    return "verl.trainer.ppo.v1 can be imported"


def check_config_groups() -> str:
    """Every switch of ours composes with the configuration of verl's own entry point."""
    count = 0
    for group, name in _switches():
        _composed(f"+{group}={name}")
        count += 1
    return f"{count} switches such as +method=resrl compose"


def check_registries() -> str:
    """What the method switches name is in verl's registries."""
    from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY, POLICY_LOSS_REGISTRY
    from verl.utils.import_utils import load_class_from_fqn, load_extern_object

    estimators, losses = set(), set()
    for name in [name for group, name in _switches() if group == "method"]:
        config = _composed(f"+method={name}")
        estimators.add(config.algorithm.adv_estimator)
        losses.add(config.actor_rollout_ref.actor.policy_loss.loss_mode)
    missing = (estimators - set(ADV_ESTIMATOR_REGISTRY)) | (losses - set(POLICY_LOSS_REGISTRY))
    if missing:
        raise Problem(
            f"verl does not know {', '.join(sorted(missing))}", "reinstall: verl and verl_resrl do not fit together"
        )
    reward = _composed("+reward_manager=length_scaled").reward.reward_manager
    load_extern_object(reward.module.path, reward.name)
    load_class_from_fqn(_composed("+metrics=pass_at_k").actor_rollout_ref.rollout.agent.agent_loop_manager_class)
    return f"estimators {', '.join(sorted(estimators))}; policy losses {', '.join(sorted(losses))}"


def check_engine() -> str:
    """The settings of a ResRL run register our engine, and verl finds it."""
    from verl.utils.config import omega_conf_to_dataclass
    from verl.workers.engine import EngineRegistry

    config = _composed("+method=resrl", DYNAMIC)
    omega_conf_to_dataclass(config.actor_rollout_ref.actor)
    found = []
    for backend in ("fsdp", "fsdp2"):
        try:
            engine = EngineRegistry.get_engine_cls(config.actor_rollout_ref.model.model_type, backend)
        except (AssertionError, ValueError):
            continue  # fsdp needs an accelerator
        found.append(f"{backend}: {engine.__name__}")
    if not found:
        raise Problem(
            "verl finds no engine for model_type=resrl on this device",
            "on a machine without an accelerator set VERL_PLATFORM=cpu (+device=cpu does); else reinstall",
        )
    return ", ".join(found)


def _switches() -> list[tuple[str, str]]:
    """(group, name) of every config file that we put on Hydra's search path."""
    folder = resources.files("verl_resrl.integration") / "config"
    return [
        (group.name, file.name.removesuffix(".yaml"))
        for group in sorted(folder.iterdir(), key=lambda path: path.name)
        if group.is_dir()
        for file in sorted(group.iterdir(), key=lambda path: path.name)
        if file.name.endswith(".yaml")
    ]


@cache
def _composed(*overrides: str) -> Any:
    """Compose as ``python -m verl.trainer.main_ppo`` does."""
    from hydra import compose, initialize_config_module
    from hydra.errors import HydraException

    try:
        with initialize_config_module("verl.trainer.config", version_base=None):
            return compose("ppo_trainer", overrides=list(overrides))
    except HydraException as error:
        raise Problem(
            f"{' '.join(overrides)} does not compose: {str(error).splitlines()[0]}",
            "pip install -e . once more: Hydra does not find hydra_plugins/verl_resrl_searchpath.py",
        ) from error
