# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The installed verl has every name and every configuration key that this package relies on."""

import ast
from pathlib import Path

import pytest
from hydra import compose, initialize_config_module
from hydra.utils import get_class
from omegaconf import OmegaConf

import verl_resrl.integration
from verl_resrl.integration import upstream
from verl_resrl.integration.upstream import missing
from verl_resrl.integration.upstream_names import MEGATRON_NAMES, NAMES, OUR_KEYS, PASSED_ON, VLLM_NAMES, Name

PACKAGE = Path(verl_resrl.integration.__file__).parents[1]
YAML_FILES = sorted((PACKAGE / "integration" / "config").glob("*/*.yaml"))


@pytest.mark.parametrize("name", NAMES, ids=lambda name: name.path)
def test_name_exists(name: Name) -> None:
    assert missing([name]) == []


@pytest.mark.parametrize("name", MEGATRON_NAMES, ids=lambda name: name.path)
def test_name_of_the_megatron_engine_exists(name: Name) -> None:
    pytest.importorskip("megatron.core", reason="Megatron-Core is not installed")
    assert missing([name]) == []


@pytest.mark.vllm
@pytest.mark.parametrize("name", VLLM_NAMES, ids=lambda name: name.path)
def test_name_of_the_vllm_rollout_exists(name: Name) -> None:
    assert missing([name]) == []


def test_what_is_missing_is_named_with_who_needs_it() -> None:
    gone = [
        Name("verl.no_such_module:thing", (), ("cpu.engine",)),
        Name("verl.workers.engine:NoSuchEngine", (), ("integration.engine",)),
        Name("verl.workers.engine:EngineRegistry.register", ("backend", "colour"), ("integration.engine",)),
        Name("verl.trainer.ppo.v1.trainer_base", ("no_such_field",), ("integration.batch",)),
    ]
    lines = missing(gone)
    assert len(lines) == 4
    assert lines[0].startswith("verl.no_such_module:thing is missing, needed by cpu.engine")
    assert lines[1].startswith("verl.workers.engine:NoSuchEngine is missing, needed by integration.engine")
    assert lines[2] == "verl.workers.engine:EngineRegistry.register has no 'colour', needed by integration.engine"
    assert lines[3] == "verl.trainer.ppo.v1.trainer_base has no 'no_such_field', needed by integration.batch"


def test_the_command_says_what_it_did_not_look_at(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(upstream, "OPTIONAL", {"json": NAMES[:1], "no_such_package": NAMES[:2]})
    assert upstream.main() == 0
    seen, left_out = capsys.readouterr().out.splitlines()
    assert f"has all {len(NAMES) + 1} names" in seen
    assert left_out == "not looked at: 2 names that need no_such_package, which is not installed"
    monkeypatch.setattr(upstream, "OPTIONAL", {"json": (Name("verl.no_such_module:thing", (), ("cpu.engine",)),)})
    assert upstream.main() == 1
    assert capsys.readouterr().out.startswith("verl.no_such_module:thing is missing, needed by cpu.engine")


def test_table_has_every_name_that_is_imported() -> None:
    listed = {name.path.replace(":", ".") for name in (*NAMES, *MEGATRON_NAMES, *VLLM_NAMES)}
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "verl":
                for alias in node.names:
                    path = f"{node.module}.{alias.name}"
                    known = any(name == path or name.startswith(path + ".") for name in listed)
                    assert known, f"{file.relative_to(PACKAGE)} imports {path}, which upstream_names.py does not list"


def test_whoever_is_said_to_need_a_name_exists() -> None:
    for user in {user for name in (*NAMES, *MEGATRON_NAMES, *VLLM_NAMES) for user in name.used_by}:
        path = PACKAGE.parent / user if "/" in user else PACKAGE / user.replace(".", "/")
        assert path.is_dir() or path.with_suffix(".py").is_file(), user


@pytest.mark.parametrize("file", YAML_FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_key_that_we_set_exists(file: Path) -> None:
    with initialize_config_module("verl.trainer.config", version_base=None):
        verl_config = compose("ppo_trainer", ["model_engine=megatron"] if file.stem == "megatron" else [])

    def keys(node: object, prefix: str = "") -> list[str]:
        if isinstance(node, dict) and node:
            return [key for name, child in node.items() for key in keys(child, f"{prefix}.{name}" if prefix else name)]
        return [prefix]

    for key in keys(OmegaConf.to_container(OmegaConf.load(file), resolve=False)):
        if not any(key == other or key.startswith(other + ".") for other in (*OUR_KEYS, *PASSED_ON)):
            parent, _, leaf = key.rpartition(".")
            node = OmegaConf.select(verl_config, parent) if parent else verl_config
            assert node is not None, f"{file.name} sets {key}, and verl has no {parent}"
            # of some nodes, verl's YAML leaves out keys that the dataclass has
            known = {*node, *getattr(get_class(node.get("_target_", "builtins.object")), "__dataclass_fields__", ())}
            assert leaf in known, f"{file.name} sets {key}, which verl does not know"
