# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The benchmark itself: are its inputs, its eager method, its truth, its meters and its files what they claim to be?"""

import csv
import io
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from benchmarks import cases, exchange_cost, generation, interference_cost, residual_bandwidth, run, training_step
from benchmarks.csv_file import COLUMNS, ResultsFile, read_measurements
from benchmarks.eager import eager_token_weights
from benchmarks.inputs import Inputs, make_inputs
from benchmarks.measure import interleaved_seconds, peak_bytes
from benchmarks.power_law import exponents
from benchmarks.questions import NEEDS_GPU, QUESTIONS
from benchmarks.record import Case, Measurement, Size, measurements, ratios
from benchmarks.table import Target, tables, targets_table
from benchmarks.token_weights_cost import GROWTH, GROWTH_BASE, SIZES, compare, exact_weights, grown
from verl_resrl import ResRLConfig, token_weights

SMALL = Size(groups=2, rollouts=4, response_tokens=20, d=48, k=8, dtype=torch.float32)
SECONDS = ("seconds", "seconds_q20", "seconds_q80")


# inputs


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_inputs_are_seeded_and_of_the_stated_size(dtype):
    size = replace(SMALL, dtype=dtype)
    inputs, again, other = make_inputs(size, "cpu"), make_inputs(size, "cpu"), make_inputs(size, "cpu", seed=1)
    assert (inputs.hidden.shape, inputs.hidden.dtype) == ((size.tokens, size.d), dtype)
    assert torch.equal(inputs.hidden, again.hidden)
    assert not torch.equal(inputs.hidden, other.hidden)
    assert inputs.group_ids.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert inputs.is_positive.tolist() == [True, True, False, False] * 2
    assert torch.bincount(inputs.sequence_ids).tolist() == [20] * 8


def test_inputs_with_more_positives_than_enter_a_subspace_are_refused():
    with pytest.raises(ValueError, match="8192 positive tokens a group are more than the 4096"):
        make_inputs(replace(SMALL, response_tokens=4096), "cpu")


def test_weights_of_the_first_groups_are_those_of_the_whole():
    inputs = make_inputs(SMALL, "cpu")
    few = inputs.first_groups(1)
    whole = token_weights(*inputs.arguments, config=ResRLConfig(rank=SMALL.k)).weights
    part = token_weights(*few.arguments, config=ResRLConfig(rank=SMALL.k)).weights
    assert len(part) == SMALL.tokens // 2
    torch.testing.assert_close(part, whole[: len(part)], rtol=0, atol=1e-5)


@pytest.mark.parametrize("device", SIZES)
def test_every_size_keeps_to_the_limits(device):
    for axis, values in GROWTH[device].items():
        for value in values:
            size = grown(GROWTH_BASE[device], axis, value)
            assert getattr(size, axis) == value
            assert size.tokens == (value if axis == "tokens" else GROWTH_BASE[device].tokens)
            assert size.k < size.rollouts // 2 * size.response_tokens <= ResRLConfig.max_positive_tokens
    assert all(size.rollouts // 2 * size.response_tokens <= 4096 for size in SIZES[device])


# methods


def test_eager_method_matches_its_formula():
    """Positives of rank k: the PCA is exact whatever its random start, and the exact weights are the formula's."""
    inputs = make_inputs(SMALL, "cpu")
    generator = torch.Generator().manual_seed(3)
    rank = SMALL.k
    directions = torch.randn(rank, SMALL.d, generator=generator)
    directions -= directions.mean(1, keepdim=True)  # so that LayerNorm only scales: the rank stays
    hidden = torch.randn(SMALL.tokens, rank, generator=generator) @ directions
    negative = ~inputs.is_positive[inputs.sequence_ids]
    hidden[negative] += torch.randn(int(negative.sum()), SMALL.d, generator=generator)
    inputs = replace(inputs, hidden=hidden)
    weights = eager_token_weights(*inputs.arguments, config=ResRLConfig(rank=rank))
    assert (weights[~negative] == 1).all()
    np.testing.assert_allclose(weights.numpy(), exact_weights(inputs, rank), rtol=0, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_comparison_holds_both_methods_against_the_exact_one(dtype):
    size = replace(SMALL, dtype=dtype)
    rows = compare("weights", "small", size, "cpu", repeats=2, exact_groups=2)
    values = {(row.method, row.metric): row.value for row in rows}
    metrics = (*SECONDS, "peak_bytes", "weight_error_mean", "weight_error_max")
    assert set(values) == {(m, metric) for m in ("resrl", "eager", "resrl / eager") for metric in metrics}
    assert values["resrl", "weight_error_mean"] < 1e-4
    assert values["resrl", "weight_error_max"] < 1e-3
    assert values["eager", "weight_error_mean"] > 10 * values["resrl", "weight_error_mean"]
    assert values["resrl", "peak_bytes"] > 0
    for metric in metrics:
        assert values["resrl / eager", metric] == values["resrl", metric] / values["eager", metric]


def test_interference_is_measured_beside_the_weights():
    rows = interference_cost.measure("small", SMALL, "cpu", repeats=1)
    values = {(row.method, row.metric): row.value for row in rows}
    for metric in ("seconds", "peak_bytes"):
        assert values["interference", metric] > 0
        ratio = values["interference", metric] / values["resrl", metric]
        assert values["interference / resrl", metric] == ratio


def test_generation_is_measured_beside_that_of_transformers():
    shape = generation.SHAPE | {"vocab_size": 64, "hidden_size": 36, "intermediate_size": 48, "num_hidden_layers": 2}
    rows = generation.measure("small", replace(SMALL, response_tokens=3), 5, shape, repeats=1)
    values = {row.method: row.value for row in rows if row.metric == "seconds"}
    assert values["generate / transformers"] == values["generate"] / values["transformers"] > 0


# meters


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_peak_memory_sees_what_is_alive_at_one_time(device):
    kept = []

    def call():
        first = torch.ones(1 << 20, device=device)  # 4 MiB
        kept.append(first + 1)  # 4 MiB more
        del first
        return torch.ones(1 << 18, device=device)  # fits into what was freed

    for _ in range(2):  # what is kept from one call does not count in the next
        assert 8 << 20 <= peak_bytes(call, device) < (8 << 20) + 4096
    assert peak_bytes(lambda: None, device) == 0


def test_methods_take_turns_after_a_warm_up():
    calls = []
    seconds = interleaved_seconds({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, repeats=2)
    assert "".join(calls) == "ababab"
    assert all(set(values) == set(SECONDS) for values in seconds.values())
    assert all(v["seconds_q20"] <= v["seconds"] <= v["seconds_q80"] for v in seconds.values())


def test_a_residual_kernel_moves_each_state_and_two_floats():
    assert residual_bandwidth.bytes_moved(Size(2, 3, 5, 7, 1, torch.bfloat16)) == 30 * (7 * 2 + 4 + 4)


@pytest.mark.gpu
def test_residual_kernel_is_compared_with_a_copy():
    rows = residual_bandwidth.measure("small", replace(SMALL, response_tokens=64, dtype=torch.bfloat16))
    share = {row.method: row.value for row in rows if row.metric == "bytes_per_second"}
    assert share["resrl / copy"] == share["resrl"] / share["copy"] > 0


# training step

TINY = training_step.MODELS["Qwen3-1.7B"] | {
    "vocab_size": 30,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
}
WORKLOAD = training_step.Workload(groups=2, rollouts=4, prompt_tokens=3, response_tokens=9, micro_batch=2)


def test_step_weights_are_those_of_hugging_faces_hidden_states():
    step = training_step.TrainingStep(TINY, WORKLOAD, "cpu", torch.float32)
    config = ResRLConfig(rank=4)
    weights = step.log_prob_pass(config)
    assert step.log_prob_pass() is None
    with torch.no_grad():
        states = step.model.model(input_ids=step.tokens, output_hidden_states=True).hidden_states[-2][:, 2:-1]
    inputs = Inputs(
        states.flatten(0, 1),
        torch.arange(8).repeat_interleave(9),
        torch.arange(2).repeat_interleave(4),
        torch.tensor([True, True, False, False] * 2),
    )
    expected = token_weights(*inputs.arguments, config=config).weights.view(8, 9)
    torch.testing.assert_close(weights, expected, rtol=0, atol=1e-3)
    assert (weights[[2, 3, 6, 7]] < 1).any()


def test_step_is_measured_with_and_without_resrl():
    rows = training_step.measure("tiny", TINY, WORKLOAD, "cpu", torch.float32, repeats=1)
    values = {(row.case, row.method, row.metric): row.value for row in rows}
    for part in ("tiny log-prob pass", "tiny step"):
        for method in ("without", "with resrl", "with resrl / without"):
            assert values[part, method, "seconds"] > 0
            assert values[part, method, "peak_bytes"] > 0
    # gradients of every parameter, beside what the log-prob pass needs
    assert values["tiny step", "without", "peak_bytes"] > values["tiny log-prob pass", "without", "peak_bytes"]


def test_exchange_is_measured_against_its_bound():
    size = replace(SMALL, response_tokens=40, dtype=torch.bfloat16)
    rows = exchange_cost.measure("2 ranks", 2, size, "cpu")
    values = {(row.method, row.metric): row.value for row in rows}
    assert values["bound", "sent_bytes"] == size.tokens // 2 * size.d * 2
    assert values["resrl", "sent_bytes"] > 0
    assert 0 < values["resrl", "exchange_seconds"] < values["resrl", "seconds"]


# files and reports


def rows_of(question, value, method="resrl"):
    return measurements(question, "tokens", method, SMALL, {"seconds": value, "peak_bytes": 2**20})


def test_csv_has_a_stamp_in_every_row_and_reads_back(tmp_path):
    path = tmp_path / "cpu.csv"
    rows = rows_of("weights", 0.25)
    ResultsFile(path, "cpu", QUESTIONS).append(rows)
    with path.open(newline="") as file:
        header, *lines = csv.reader(file)
    assert tuple(header) == COLUMNS
    assert COLUMNS[:12] == tuple(asdict(rows[0]))
    assert all(cell for line in lines for cell in line)
    assert read_measurements(path) == rows
    assert rows[0] == Measurement(
        "weights", "tokens", "resrl", 2, 4, 160, 48, 8, "float32", "seconds", value=0.25, unit="s"
    )


def test_a_rerun_replaces_its_questions_and_keeps_the_others(tmp_path):
    path = tmp_path / "cpu.csv"
    ResultsFile(path, "cpu", QUESTIONS).append(rows_of("weights", 1.0) + rows_of("growth", 2.0))
    ResultsFile(path, "cpu", ["growth"]).append(rows_of("growth", 3.0))
    assert read_measurements(path) == rows_of("weights", 1.0) + rows_of("growth", 3.0)


def test_ratios_are_to_the_baseline_of_the_same_problem():
    rows = rows_of("growth", 1.0) + rows_of("growth", 4.0, method="eager")
    (seconds, memory) = ratios(rows, "eager")
    assert (seconds.method, seconds.value, seconds.unit) == ("resrl / eager", 0.25, "1")
    assert memory.value == 1.0


@pytest.mark.parametrize(
    ("target", "text", "met"),
    [
        (Target(0.5), "ratio <= 0.5", True),
        (Target(0.2), "ratio <= 0.2", False),
        (Target(0.7, at_least=True), "ratio >= 0.7", False),
        (Target(1e-3, of_ratio=False), "<= 0.001", False),
    ],
)
def test_targets_are_shown_with_the_result(target, text, met):
    assert str(target) == text
    assert target.met(value=2e-3, ratio=0.4) == met


def test_the_table_of_targets_says_what_is_held_and_what_was_not_measured():
    rows = rows_of("weights", 0.5) + rows_of("weights", 1.0, method="eager")
    console = Console(file=io.StringIO(), width=200)
    console.print(targets_table(rows + ratios(rows, "eager"), "cpu"))
    lines = [line.split() for line in console.file.getvalue().splitlines()]
    assert ["weights", "tokens", "resrl", "time", "ratio", "<=", "1", "0.5", "yes"] in lines
    assert ["exchange", "sent", "ratio", "<=", "1", "not", "measured"] in lines


def test_exponents_are_those_of_the_power_law():
    sizes = [replace(SMALL, k=k) for k in (4, 8, 16)]
    rows = [row for size in sizes for row in measurements("growth", "k", "resrl", size, {"seconds": 3 * size.k**1.5})]
    for ranks in (1, 2, 4):
        rows += measurements("exchange", f"{ranks} ranks", "resrl", SMALL, {"seconds": 2 / ranks})
    found = exponents(rows)
    assert found["k", "resrl"] == (pytest.approx(1.5), [4, 8, 16])
    assert found["ranks", "resrl"] == (pytest.approx(-1), [1, 2, 4])
    assert exponents(rows[:2]) == {}


def stop():
    raise KeyboardInterrupt


def test_a_stopped_run_reports_what_it_has(tmp_path, monkeypatch):
    rows = rows_of("growth", 1.0) + rows_of("growth", 4.0, method="eager")
    listed = [Case("growth", "tokens 160", lambda: rows + ratios(rows, "eager")), Case("growth", "k 8", stop)]
    monkeypatch.setattr(run, "all_cases", lambda device, questions: listed)
    output = io.StringIO()
    assert run.run("cpu", list(QUESTIONS), tmp_path, Console(file=output, width=200)) == 130
    assert read_measurements(tmp_path / "cpu.csv")[: len(rows)] == rows
    assert {path.name for path in tmp_path.iterdir()} == {"cpu.csv", "cpu_growth.png"}
    text = output.getvalue()
    assert all(f"{question}: skipped without an NVIDIA GPU" in text for question in NEEDS_GPU)
    assert "tokens 160" in text
    assert "0.25" in text
    assert "(1/2)" in text


def test_tables_hold_measured_value_baseline_ratio_and_target():
    rows = rows_of("weights", 0.5) + rows_of("weights", 1.0, method="eager")
    (table,) = tables(rows + ratios(rows, "eager"), "cpu")
    cells = list(zip(*(column.cells for column in table.columns), strict=True))
    assert cells[0] == ("tokens", "time", "resrl", "500 ms", "1 s", "0.5", "ratio <= 1: met")


def test_without_a_gpu_every_other_question_has_cases():
    asked = {case.question for case in cases.all_cases("cpu", list(QUESTIONS))}
    assert asked == set(QUESTIONS) - set(NEEDS_GPU)
    on_gpu = {case.question for case in cases.all_cases("cuda", list(QUESTIONS))}
    assert on_gpu | {"exchange", "generation"} == set(QUESTIONS)  # which need several, and a CPU


def test_help_needs_nothing_but_python():
    script = Path(__file__).parents[2] / "scripts" / "benchmark.py"
    text = subprocess.run(
        [sys.executable, "-S", "-I", str(script), "--help"], capture_output=True, text=True, check=True
    ).stdout
    assert all(asks in text for asks in QUESTIONS.values())
