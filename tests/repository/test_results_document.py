# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""docs/results.md says what the committed numbers say: every row of its tables, and no row is left out."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "docs" / "results"
sys.path.insert(0, str(ROOT / "examples" / "study"))

# the folder is no package
from tables import (  # noqa: E402
    displacement_table,
    localisation_table,
    mechanism_settings_table,
    mechanism_table,
    paired_table,
    results_table,
)

SETTINGS = {  # of the mechanism test, and what the document calls them
    "rank_16": "rank 16",
    "rank_64": "rank 64",
    "rank_256": "rank 256",
    "layer_penultimate": "rank 64, penultimate layer",
    "layer_middle": "rank 64, middle layer",
}
REPORTS = sorted(
    file.stem for file in RESULTS.glob("*.json") if file.stem.split("_")[0] not in ("localisation", "mechanism")
)


def tables() -> list[list[str]]:
    """The tables of the document, line by line."""
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    blocks = [block.splitlines() for block in text.split("\n\n")]
    return [block for block in blocks if block[0].startswith("|")]


@pytest.mark.parametrize("report", REPORTS)
def test_tables_are_those_of_the_reports(report: str) -> None:
    numbers = json.loads((RESULTS / f"{report}.json").read_text(encoding="utf-8"))
    methods = list(dict.fromkeys(row["method"] for row in numbers["results"]))
    head, _, *rows = results_table(numbers, methods).splitlines()
    assert any(table[0] == head and sorted(table[2:]) == sorted(rows) for table in tables())


@pytest.mark.parametrize(
    "report", ["pretrained", "pretrained_against_shuffled", "pretrained_interference_against_shuffled"]
)
def test_paired_differences_are_those_of_the_reports(report: str) -> None:
    numbers = json.loads((RESULTS / f"{report}.json").read_text(encoding="utf-8"))
    methods = list(dict.fromkeys(row["method"] for row in numbers["results"]))
    head, _, *rows = paired_table(numbers, methods).splitlines()
    assert any(table[0] == head and sorted(table[2:]) == sorted(rows) for table in tables())


def test_displacement_is_that_of_the_report() -> None:
    numbers = json.loads((RESULTS / "pretrained.json").read_text(encoding="utf-8"))
    assert displacement_table(numbers).splitlines() in tables()


def test_areas_are_those_of_the_study() -> None:
    found = json.loads((RESULTS / "localisation.json").read_text(encoding="utf-8"))
    named = {
        "residual, predicting": "residual, predicting state (ResRL)",
        "residual, consuming": "residual, consuming state",
        "residual, penultimate layer": "residual, penultimate (and middle) layer",
        "residual, middle layer": "residual, penultimate (and middle) layer",
        "shuffled": "ResRL's weights shuffled",
        "position": "position in the response",
    }
    (table,) = (table for table in tables() if table[0].startswith("| weighting | first, start | first, GRPO"))
    for row in localisation_table(found).splitlines()[2:]:
        name, areas = row.removeprefix("| ").split(" | ", 1)
        assert f"| {named.get(name, name)} | {areas}" in table


def test_areas_on_word_problems_are_those_of_the_study() -> None:
    found = json.loads((RESULTS / "localisation_pretrained.json").read_text(encoding="utf-8"))
    assert localisation_table(found).splitlines() in tables()


def test_steps_under_other_settings_are_those_of_the_mechanism_test() -> None:
    found = {name: RESULTS / f"mechanism_pretrained_{name}.json" for name in SETTINGS}
    results = {SETTINGS[name]: json.loads(file.read_text(encoding="utf-8")) for name, file in found.items()}
    assert sorted(found.values()) == sorted(RESULTS.glob("mechanism_pretrained_*.json"))
    rows = mechanism_settings_table(results, ["residual", "interference"]).splitlines()
    (unweighted,) = mechanism_settings_table({"any": results["rank 64"]}, ["none"]).splitlines()[2:]
    assert [*rows[:2], unweighted, *rows[2:]] in tables()


@pytest.mark.parametrize("files", ["mechanism_[0-9].json", "mechanism_pretrained.json"])
def test_steps_are_those_of_the_mechanism_test(files: str) -> None:
    seeds = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(RESULTS.glob(files))]
    assert [seed["settings"]["seed"] for seed in seeds] == list(range(len(seeds)))
    head, _, *rows = mechanism_table(seeds).splitlines()
    assert rows in [table[2:] for table in tables() if table[0] == head]
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    for proxy in ("alignment", "interference"):
        values = [f"{seed['rank_correlations'][proxy]:+.3f}" for seed in seeds]
        assert f"{proxy} {', '.join(values)}" in " ".join(text.split())


@pytest.mark.parametrize("file", sorted(RESULTS.glob("*.json")), ids=lambda file: file.stem)
def test_numbers_name_no_folder_of_one_machine(file: Path) -> None:
    assert '"/' not in file.read_text(encoding="utf-8")
