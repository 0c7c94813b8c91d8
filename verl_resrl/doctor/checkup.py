# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""All checks, one after the other; none of them keeps the next from running."""

from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module

from verl_resrl.doctor.finding import Finding, NotHere, Problem

PACKAGES = ("torch", "verl", "ray", "transformers")
OF_THE_PLUGIN = {
    "verl's trainer": "check_trainer",
    "config groups": "check_config_groups",
    "registries": "check_registries",
    "engine": "check_engine",
}
UNEXPECTED = "read the error; if it does not help, please open an issue with the output of resrl doctor --json"


def checkup() -> Iterator[Finding]:
    """Run every check.

    Yields:
        What each has found, as soon as it has.
    """
    yield _run("python", "versions", "check_python")
    for name in PACKAGES:
        yield _run(name, "versions", "check_package", name)
    yield _run("stack", "stack", "check_stack")
    yield _run("GPU", "gpu", "check_gpu")
    yield _run("triton", "versions", "check_triton")
    yield _run("vllm", "versions", "check_vllm")
    yield _run("attention", "stack", "check_attention")
    plugin = _run("plugin, this process", "registration", "check_plugin")
    yield plugin
    for name, function in OF_THE_PLUGIN.items():
        # without the plugin they fail for no other reason
        yield _run(name, "registration", function) if plugin.ok else Finding(name, None, "needs the plugin")
    yield _run("plugin, Ray worker", "ray_worker", "check_ray_worker")
    yield _run("weights", "computation", "check_weights")
    yield _run("kernel", "computation", "check_kernel")


def _run(name: str, module: str, function: str, *arguments: str) -> Finding:
    """Run one check; its module may need a package that is missing."""
    try:
        check: Callable[[], str] = partial(getattr(import_module(f"verl_resrl.doctor.{module}"), function), *arguments)
        return Finding(name, True, check())
    except NotHere as reason:
        return Finding(name, None, str(reason))
    except Problem as problem:
        return Finding(name, False, str(problem), problem.advice)
    except Exception as error:  # a broken installation may raise anything
        first = (str(error).splitlines() or [""])[0]
        return Finding(name, False, f"{type(error).__name__}: {first}"[:300], UNEXPECTED)
