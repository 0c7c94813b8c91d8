# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""README and docs: short enough, every link and path is there, and the settings are those of the code."""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path

import pytest

from verl_resrl import ResRLConfig

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
PATH = re.compile(r"(?<![\w./<{$-])[\w.-]+(?:/[\w.-]+)*/?(?![\w/*{$-])")
SOURCE_FILES = (".py", ".sh", ".md", ".sbatch", ".yaml")
# what paths in a document may be relative to
PLACES = (ROOT, ROOT / "docs", ROOT / "verl_resrl", ROOT / "verl_resrl" / "integration")
OTHERS = {"reward.py", "run_beijing_tip_full.sh"}  # the reader's, and another repository's
PLACEHOLDER = re.compile(r"(^|/|_)[A-Z]{3,}([/._]|$)")  # NAME in config/method/resrl_NAME.yaml


def tracked() -> set[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return {Path(name).name for name in listed.stdout.splitlines()}


NAMES = tracked()
ROOTS = {path.name for place in (ROOT, ROOT / "verl_resrl") for path in place.iterdir() if path.is_dir()} - {"outputs"}


def code_of(text: str) -> str:
    """What is in backticks, of one line or of many."""
    return "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL))


def missing_paths(text: str) -> Iterator[str]:
    for found in PATH.findall(code_of(text)):
        name = found.rstrip(".")
        first = name.split("/")[0]
        if PLACEHOLDER.search(name) or name in SOURCE_FILES:
            continue
        if "/" in name and first in ROOTS:
            if not any((place / name).exists() for place in PLACES):
                yield name
        elif "/" not in name and name.endswith(SOURCE_FILES) and name not in {*NAMES, *OTHERS}:
            yield name


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for link in LINK.findall(document.read_text(encoding="utf-8")):
        if not link.startswith(("http", "#")):
            assert (document.parent / link.split("#")[0]).exists(), link


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_paths_exist(document: Path) -> None:
    assert list(missing_paths(document.read_text(encoding="utf-8"))) == []


def test_a_path_that_is_not_there_is_found() -> None:
    text = (
        "`verl_resrl/no_such_room/file.py`, `weights.py`, `examples/math/run_none.sh`\n```\nbash scripts/none.sh\n```"
    )
    assert set(missing_paths(text)) == {
        "verl_resrl/no_such_room/file.py",
        "examples/math/run_none.sh",
        "scripts/none.sh",
    }


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_tables_are_whole(document: Path) -> None:
    """A line of a table stands below another one; an empty line between would end the table."""
    lines = ["", *document.read_text(encoding="utf-8").splitlines(), ""]
    for before, line, after in zip(lines, lines[1:], lines[2:], strict=False):
        if line.startswith("|") and not before.startswith("|"):
            assert re.fullmatch(r"\|[-| :]+\|", after), f"a table begins without its head: {line[:60]}"


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_every_document_is_linked_from_the_readme() -> None:
    linked = LINK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    assert {document.relative_to(ROOT).as_posix() for document in DOCUMENTS} - {"README.md"} <= set(linked)


def test_settings_are_those_of_the_code() -> None:
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    listed: dict[str, str] = {}
    for row in re.findall(r"^\| (`resrl\.[^|]*) \| ([^|]*) \|", text, re.MULTILINE):
        names = re.findall(r"`resrl\.(\w+)`", row[0])
        listed |= dict(zip(names, row[1].split(", "), strict=True))
    assert listed == {field.name: str(field.default) for field in fields(ResRLConfig)}


def test_the_newest_change_is_of_this_version() -> None:
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest is not None
    assert newest[1] == version("verl_resrl")
