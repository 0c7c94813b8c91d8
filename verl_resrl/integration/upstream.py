# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Does the installed verl have every name that this package relies on? A new release breaks in one readable place.

``python -m verl_resrl.integration.upstream`` prints what is missing and who needs it. What needs Megatron-Core or vLLM
is looked at where that is installed.
"""

import importlib
import inspect
import sys
from collections.abc import Iterable
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

from verl_resrl.integration.upstream_names import MEGATRON_NAMES, NAMES, VLLM_NAMES, Name

OPTIONAL = {"megatron": MEGATRON_NAMES, "vllm": VLLM_NAMES}  # by what has to be installed


def missing(names: Iterable[Name] = NAMES) -> list[str]:
    """Look for names in the installed verl.

    Args:
        names: what to look for.

    Returns:
        One line for each thing that is missing: what, and which of our modules need it.
    """
    lines = []
    for name in names:
        users = ", ".join(name.used_by)
        try:
            found = _resolve(name.path)
        except (ImportError, AttributeError) as error:
            lines.append(f"{name.path} is missing, needed by {users} ({error})")
            continue
        lines += [
            f"{name.path} has no {part!r}, needed by {users}" for part in name.parts if not _has_part(found, part)
        ]
    return lines


def _resolve(path: str) -> Any:
    module, _, attributes = path.partition(":")
    found = importlib.import_module(module)
    for attribute in filter(None, attributes.split(".")):
        found = getattr(found, attribute)
    return found


def _has_part(found: Any, part: str) -> bool:
    if inspect.ismodule(found):
        return part in inspect.getsource(found)
    if isinstance(found, dict):
        return part in found
    if not inspect.isclass(found):
        return part in inspect.signature(found).parameters
    declared = {field for base in found.__mro__ for field in getattr(base, "__annotations__", {})}
    # attributes of instances are only known from the code that sets them
    return hasattr(found, part) or part in declared or part in inspect.getsource(found.__init__)  # type: ignore[misc]


def main() -> int:
    """Print what is missing, or how much was looked at; 0 if nothing is missing."""
    installed = [name for name in OPTIONAL if find_spec(name) is not None]
    names = [*NAMES, *(one for name in installed for one in OPTIONAL[name])]
    problems = missing(names)
    print("\n".join(problems) or f"verl {version('verl')} has all {len(names)} names that verl_resrl relies on")
    for name in OPTIONAL.keys() - installed:
        print(f"not looked at: {len(OPTIONAL[name])} names that need {name}, which is not installed")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
