# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Whether verl knows our names: plugin, config groups, registries, engine."""

import os
from importlib.metadata import entry_points
from typing import Any

from verl_resrl.doctor.finding import Problem
from verl_resrl.integration import registered

POLICY = "VERL_USE_EXTERNAL_PLUGINS"
# verl has no default for the size of micro-batches, and no opinion is wanted here
DYNAMIC = "actor_rollout_ref.actor.use_dynamic_bsz=True"


def check_plugin() -> str:
    """Importing verl in this process loads our plugin, which registers its estimators."""
    loaded, estimators = registered.estimators_after_import()
    points = [point for point in entry_points(group="verl.plugins") if point.value == registered.PLUGIN]
    if not points:
        raise Problem("verl does not find our entry point 'verl.plugins'", "pip install -e . once more in this Python")
    policy = os.environ.get(POLICY, "auto").strip().lower()
    if policy != "auto" and "verl_resrl" not in policy.split(","):
        raise Problem(f"{POLICY}={policy} keeps verl from loading it", f"unset {POLICY}, or add verl_resrl to it")
    if not loaded or "resrl" not in estimators:
        raise Problem(
            "it could not be loaded", "fix the error that was logged above ('verl_resrl could not be loaded')"
        )
    return "loaded with verl"


def check_trainer() -> str:
    """All that verl's trainer imports is installed; part of it is not among verl's requirements."""
    try:
        registered.import_trainer()
    except ImportError as error:
        raise Problem(
            f"it cannot be imported: {error}", "pip install -e .[gpu], or pip install -e .[cpu] without a GPU"
        ) from error
    return "verl.trainer.ppo.v1 can be imported"


def check_config_groups() -> str:
    """Every switch of ours composes with the configuration of verl's own entry point."""
    switches = registered.switches()
    for group, name in switches:
        _composed(f"+{group}={name}")
    return f"{len(switches)} switches such as +method=resrl compose"


def check_registries() -> str:
    """What the method switches name is in verl's registries."""
    estimators, losses = set(), set()
    for name in [name for group, name in registered.switches() if group == "method"]:
        config = _composed(f"+method={name}")
        estimators.add(config.algorithm.adv_estimator)
        losses.add(config.actor_rollout_ref.actor.policy_loss.loss_mode)
    missing = (estimators - registered.estimators_after_import()[1]) | (losses - registered.policy_losses())
    if missing:
        raise Problem(
            f"verl does not know {', '.join(sorted(missing))}", "reinstall: verl and verl_resrl do not fit together"
        )
    registered.load_named_classes()
    return f"estimators {', '.join(sorted(estimators))}; policy losses {', '.join(sorted(losses))}"


def check_engine() -> str:
    """The settings of a ResRL run register our engine, and verl finds it."""
    found = registered.engines(_composed("+method=resrl", DYNAMIC))
    if not found:
        raise Problem(
            "verl finds no engine for model_type=resrl on this device",
            "on a machine without an accelerator set VERL_PLATFORM=cpu (+device=cpu does); else reinstall",
        )
    return ", ".join(f"{backend}: {engine}" for backend, engine in found.items())


def _composed(*overrides: str) -> Any:
    from hydra.errors import HydraException

    try:
        return registered.composed(*overrides)
    except HydraException as error:
        raise Problem(
            f"{' '.join(overrides)} does not compose: {str(error).splitlines()[0]}",
            "pip install -e . once more: Hydra does not find hydra_plugins/verl_resrl_searchpath.py",
        ) from error
