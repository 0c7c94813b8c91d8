# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The rooms of the package: imports run from higher rooms to lower ones, never in a circle, and few rooms see verl."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "verl_resrl"
# from the highest to the lowest: a room may import those behind it in this list
ROOMS = ("cli", "doctor", "report", "evaluation", "integration", "cpu", "tasks", "runs", "statistics", "algorithm")
SEE_VERL = ("integration", "cpu")


@dataclass(frozen=True)
class Import:
    """One import: what a line of a file takes from where."""

    file: Path
    line: int
    module: str

    def __str__(self) -> str:
        return f"{self.file.relative_to(PACKAGE.parent)} line {self.line} imports {self.module}"


def module_of(file: Path) -> str:
    path = file.relative_to(PACKAGE.parent).with_suffix("")
    return ".".join(path.parent.parts if path.name == "__init__" else path.parts)


def imports_of(file: Path, known: set[str]) -> Iterator[Import]:
    """Every import of a file, those inside functions included; names of modules, not of what is in them."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(file, node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield Import(file, node.lineno, inner if inner in known else str(node.module))


FILES = sorted(PACKAGE.rglob("*.py"))
MODULES = {module_of(file) for file in FILES}
IMPORTS = [found for file in FILES for found in imports_of(file, MODULES)]


def room(module: str) -> str:
    return [*module.split("."), "cli"][1]  # __init__ is the door of the whole package, like the command


def wrong_ways(imports: list[Import]) -> list[str]:
    """The lines that import a higher room."""
    own = [found for found in imports if found.module.split(".")[0] == "verl_resrl" and found.module != "verl_resrl"]
    return [
        f"{found}, which is above it"
        for found in own
        if ROOMS.index(room(found.module)) < ROOMS.index(room(module_of(found.file)))
    ]


def test_there_is_nothing_beside_the_rooms() -> None:
    files = {path.name for path in PACKAGE.iterdir() if path.is_file() and path.suffix == ".py"}
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert files == {"__init__.py", "cli.py"}
    assert folders == set(ROOMS) - {"cli"}


def test_imports_run_downwards() -> None:
    assert wrong_ways(IMPORTS) == []


def test_an_import_of_a_higher_room_is_found_and_named() -> None:
    file = PACKAGE / "algorithm" / "weights.py"
    bad = Import(file, 7, "verl_resrl.integration.engine")
    assert wrong_ways([bad]) == [
        "verl_resrl/algorithm/weights.py line 7 imports verl_resrl.integration.engine, which is above it"
    ]


def test_no_module_imports_itself_through_others() -> None:
    graph: dict[str, set[str]] = {module: set() for module in MODULES}
    for found in IMPORTS:
        if found.module in MODULES and found.module != "verl_resrl":
            graph[module_of(found.file)].add(found.module)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail("imports in a circle: " + " <- ".join(error.args[1]))


def test_verl_is_imported_in_its_rooms_alone() -> None:
    seen = [found for found in IMPORTS if found.module.split(".")[0] == "verl"]
    assert [str(found) for found in seen if room(module_of(found.file)) not in SEE_VERL] == []
    assert {room(module_of(found.file)) for found in seen} == set(SEE_VERL)


def test_the_algorithm_works_without_verl_ray_and_vllm() -> None:
    modules = sorted(module for module in MODULES if room(module) == "algorithm" and "triton" not in module)
    program = f"""
import importlib, sys
for name in ("verl", "ray", "vllm"):
    sys.modules[name] = None  # importing it fails
for name in {modules!r}:
    importlib.import_module(name)
import torch
from verl_resrl import token_weights
ids = torch.arange(2).repeat_interleave(9)
out = token_weights(torch.randn(18, 8), ids, torch.tensor([0, 0]), torch.tensor([True, False]))
assert out.active.tolist() == [True]
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=PACKAGE.parent)
