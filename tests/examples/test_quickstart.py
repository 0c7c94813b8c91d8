# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0

"""The quickstart without its trainings: knobs, fingerprints, bad input, progress, resuming, report."""

import io
import json
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import checkpoints
import evaluate
import identities
import inputs
import lock
import precision
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import quickstart
import report
import torch
import training
import warm_start
from fingerprints import fingerprint
from knobs import FROM_HUB, KNOBS, METHODS, SMOLLM2, help_text
from rich.console import Console
from settings import QuickstartError, Settings
from sometimes import keep_sometimes_solved, num_kept
from starts import STARTS

from verl_resrl.evaluation.progress import Phases
from verl_resrl.runs.files import TRACKER, read_metrics
from verl_resrl.tasks.countdown import compute_score
from verl_resrl.tasks.countdown_data import generate_problems, write_parquet

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart"

GOOD_ROW = {
    "data_source": "countdown",
    "prompt": [{"role": "user", "content": "12>3:"}],
    "reward_model": {"style": "rule", "ground_truth": "12>3"},
}


def write_rows(path, *rows):
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return path


def settings_in(folder, **knobs):
    return Settings.from_environment({"OUT": str(folder), **{name: str(value) for name, value in knobs.items()}})


OWN_FILES = {"TRAIN_FILES": "a.parquet", "VAL_FILES": "b.parquet"}

# knobs


def test_defaults_and_help_name_every_knob(tmp_path):
    settings = settings_in(tmp_path)
    assert settings.methods == ("resrl", "grpo")
    assert (settings.max_prompt, settings.max_response, settings.lr) == (16, 32, 1e-4)
    assert all(f"  {knob.name} " in help_text() for knob in KNOBS)


def test_help_needs_nothing_but_python():
    command = [sys.executable, "-S", "-I", str(QUICKSTART / "knobs.py")]
    assert "METHODS" in subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"METHODS": "resrl ppo"}, "METHODS: 'ppo' is none of resrl grpo"),
        ({"STEPS": "0"}, "STEPS=0 must be an integer, 1 or more"),
        ({"STEPS": "many"}, "STEPS=many must be an integer"),
        ({"LR": "-1"}, "LR=-1 must be a number above 0"),
        ({"LR": "nan"}, "LR=nan must be a number above 0"),
        ({"ROLLOUTS": "1"}, "ROLLOUTS=1 must be an integer, 2 or more"),
        ({"EVAL_SAMPLES": "8"}, "EVAL_SAMPLES=8 must be an integer, 16 or more"),
        ({"MINI_BATCH": "5"}, "MINI_BATCH=5 must divide PROMPTS=16"),
        ({"TRAIN_FILES": "a.parquet"}, "MODEL, TRAIN_FILES and VAL_FILES go together"),
        ({"TRAIN_FILES": "'a.parquet"}, "TRAIN_FILES='a.parquet has unbalanced quotes"),
        ({"VERL_ARGS": "a='b"}, "VERL_ARGS=a='b has unbalanced quotes"),
        ({"VERL_ARGS": "resrl.positive_threshold=x"}, "VERL_ARGS: resrl.positive_threshold=x must be a number"),
        ({"TRAIN_FILES": "a.parquet", "VAL_FILES": "b.parquet"}, "MODEL, TRAIN_FILES and VAL_FILES go together"),
        ({"MODEL": "owner/model"}, "MODEL, TRAIN_FILES and VAL_FILES go together"),
    ],
)
def test_bad_knobs_are_named(tmp_path, knobs, message):
    with pytest.raises(QuickstartError, match=message):
        settings_in(tmp_path, **knobs)


def test_own_data_and_model_change_lengths_and_leave_the_reward_to_verl(tmp_path):
    settings = settings_in(tmp_path, TRAIN_FILES="'a b.parquet' c.parquet", VAL_FILES="v.parquet", MODEL="owner/model")
    assert [file.name for file in settings.train_files] == ["a b.parquet", "c.parquet"]
    assert all(file.is_absolute() for file in settings.train_files + settings.val_files)
    assert (settings.max_prompt, settings.max_response) == (512, 1024)
    assert settings.reward_file is None


# fingerprints


def test_fingerprint_tells_settings_apart_and_ignores_their_order():
    assert fingerprint(a=1, b=[2]) == fingerprint(b=[2], a=1)
    assert len({fingerprint(a=1), fingerprint(a=2), fingerprint(b=1), fingerprint(a="1")}) == 4


def make_run(settings):
    return quickstart.Quickstart(settings, gpu=False, console=Console(file=io.StringIO()))


def ids(settings, gpu=False):
    trainings = [identities.training_id(method, settings, gpu) for method in METHODS]
    return identities.data_id(settings), identities.start_id(settings), *trainings


def test_results_of_other_settings_are_never_reused(tmp_path):
    base = settings_in(tmp_path)
    data, start, *trainings = ids(base)
    for change in ({"lr": 2e-4}, {"rollouts": 4}, {"prompts": 32}, {"mini_batch": 16}, {"verl_args": ("a=1",)}):
        new_data, new_start, *new_trainings = ids(replace(base, **change))
        assert (new_data, new_start) == (data, start)
        assert not set(new_trainings) & set(trainings), change
    assert not set(ids(replace(base, seed=1))) & {data, start, *trainings}
    rank = ids(replace(base, rank=8))[2:]
    assert [a != b for a, b in zip(rank, trainings, strict=True)] == [method == "resrl" for method in METHODS]


@pytest.mark.parametrize("start", FROM_HUB)
def test_results_of_one_start_are_never_taken_for_those_of_another(tmp_path, start):
    others = [settings_in(tmp_path, START=other) for other in STARTS if other != start]
    found = set(ids(settings_in(tmp_path, START=start)))
    assert not any(found & set(ids(other)) for other in others)


def test_a_model_that_is_written_anew_in_its_place_is_another_start(tmp_path):
    weights = tmp_path / "mine" / "model.safetensors"
    weights.parent.mkdir()
    settings = settings_in(tmp_path, MODEL=weights.parent, TRAIN_FILES="a.parquet", VAL_FILES="b.parquet")
    found = []
    for content in ("old", "newer"):
        weights.write_text(content)
        found.append(identities.start_id(settings))
    assert found[0] != found[1]
    assert identities.start_id(replace(settings, model="owner/model"))  # of the hub: by its name


def test_another_command_is_another_training(tmp_path, monkeypatch):
    settings = settings_in(tmp_path, START=SMOLLM2)
    before = identities.training_id("grpo", settings, gpu=False)
    monkeypatch.setitem(training.ON_CPU, SMOLLM2, ())
    assert identities.training_id("grpo", settings, gpu=False) != before


def test_another_content_of_the_reward_file_is_another_run(tmp_path):
    reward = tmp_path / "reward.py"
    found = []
    for text in ("a = 1", "a = 2"):
        reward.write_text(text)
        settings = settings_in(tmp_path, START=SMOLLM2, REWARD_FILE=reward)
        data, start, *trainings = ids(settings)
        choice, evaluations = (f(settings, gpu=False) for f in (identities.candidates_id, identities.evaluation_id))
        found.append(((data, start), {*trainings, choice, evaluations}))
    assert found[0][0] == found[1][0]
    assert not found[0][1] & found[1][1]


def test_evaluations_take_the_threshold_of_the_trainings(tmp_path):
    settings = settings_in(tmp_path, VERL_ARGS="resrl.positive_threshold=1 ++resrl.positive_threshold=-0.5")
    assert evaluate.evaluation_settings("model", [tmp_path], settings, tmp_path).threshold == -0.5
    plain = settings_in(tmp_path)
    assert evaluate.evaluation_settings("model", [tmp_path], plain, tmp_path).threshold == 0
    assert identities.evaluation_id(settings, gpu=False) != identities.evaluation_id(plain, gpu=False)


def test_another_choice_of_problems_is_another_training(tmp_path, monkeypatch):
    settings, small = settings_in(tmp_path, START=SMOLLM2), settings_in(tmp_path)
    assert identities.candidates_id(small, gpu=False) is None
    before = identities.candidates_id(settings, gpu=False), *ids(settings)[2:], *ids(small)[2:]
    monkeypatch.setattr(identities, "ATTEMPTS", 4)
    after = identities.candidates_id(settings, gpu=False), *ids(settings)[2:], *ids(small)[2:]
    same = [old == new for old, new in zip(before, after, strict=True)]
    assert same == [False] * (1 + len(METHODS)) + [True] * len(METHODS)


def test_knobs_that_change_no_result_do_not_start_a_run_anew(tmp_path):
    base = settings_in(tmp_path)
    for change in ({"steps": 80}, {"save_every": 3}, {"methods": ("grpo",)}, {"eval_samples": 32}):
        assert ids(replace(base, **change)) == ids(base), change


def test_a_run_on_a_gpu_is_another_one_and_so_is_its_attention(tmp_path, monkeypatch):
    def training_id(gpu):
        return identities.training_id("resrl", settings_in(tmp_path), gpu)

    monkeypatch.setitem(sys.modules, "flash_attn", None)
    without = training_id(gpu=True)
    monkeypatch.setitem(sys.modules, "flash_attn", ModuleType("flash_attn"))
    assert len({without, training_id(gpu=True), training_id(gpu=False)}) == 3


def test_what_is_computed_in_bfloat16_is_another_result(tmp_path, monkeypatch):
    def names(found):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {found: True})
        settings = settings_in(tmp_path, START=SMOLLM2)
        training = identities.training_id("resrl", settings, gpu=False)
        return {training, identities.candidates_id(settings, gpu=False), identities.evaluation_id(settings, gpu=False)}

    assert not names("avx512_bf16") & names("avx2")


def test_fewer_steps_than_trained_are_refused(tmp_path):
    settings = settings_in(tmp_path, STEPS=5, METHODS="grpo")
    run = make_run(settings)
    make_checkpoints(tmp_path / f"grpo-{identities.training_id('grpo', settings, gpu=False)}", [40], "40")
    with pytest.raises(QuickstartError, match="already holds 40 steps; set STEPS=40 or another OUT"):
        run._training("grpo", "model", (), ())


# bad input


def test_a_file_that_verl_can_read_passes(tmp_path):
    inputs.check_parquet("TRAIN_FILES", write_rows(tmp_path / "good.parquet", GOOD_ROW))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(QuickstartError, match=r"TRAIN_FILES: .*none\.parquet does not exist"):
        inputs.check_parquet("TRAIN_FILES", tmp_path / "none.parquet")


def test_an_unreadable_file_is_named_in_one_line(tmp_path):
    (tmp_path / "bad.parquet").write_bytes(b"not parquet at all")
    with pytest.raises(QuickstartError, match=r"bad\.parquet is not a readable parquet file") as error:
        inputs.check_parquet("VAL_FILES", tmp_path / "bad.parquet")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompt": None}, "has no column 'prompt'; its columns are: data_source, reward_model"),
        ({"reward_model": None}, "has no column 'reward_model'"),
        ({"data_source": None}, "has no column 'data_source'"),
        ({"prompt": "12>3:"}, "column 'prompt' of .* must be a list"),
        ({"prompt": ["12>3:"]}, "column 'prompt' of .* must be a list"),
        ({"prompt": [{"role": "user"}]}, "column 'prompt' of .* must be a list"),
        ({"reward_model": "12>3"}, "must have a field 'ground_truth'"),
    ],
)
def test_a_column_that_is_missing_or_of_another_kind_is_named(tmp_path, change, message):
    row = {name: value for name, value in {**GOOD_ROW, **change}.items() if value is not None}
    with pytest.raises(QuickstartError, match=message):
        inputs.check_parquet("TRAIN_FILES", write_rows(tmp_path / "data.parquet", row))


def test_a_file_without_rows_is_refused(tmp_path):
    table = pa.Table.from_pylist([GOOD_ROW]).slice(0, 0)
    pq.write_table(table, tmp_path / "empty.parquet")
    with pytest.raises(QuickstartError, match=r"empty\.parquet has no rows"):
        inputs.check_parquet("TRAIN_FILES", tmp_path / "empty.parquet")


def test_the_reward_is_tried_on_every_data_source_before_training(tmp_path):
    train, val = (write_rows(tmp_path / f"{name}.parquet", GOOD_ROW) for name in ("train", "val"))
    with pytest.raises(QuickstartError, match=r"countdown'?: name a file with compute_score\(\) in REWARD_FILE$"):
        inputs.check_reward(None, [train, val])  # verl has none for it
    (tmp_path / "reward.py").write_text("def compute_score(**kwargs): return 1.0")
    inputs.check_reward(tmp_path / "reward.py", [train, val])
    (tmp_path / "empty.py").write_text("")
    with pytest.raises(QuickstartError, match=r"^REWARD_FILE: .*empty\.py defines no compute_score\(\)$"):
        inputs.check_reward(tmp_path / "empty.py", [train, val])


def test_models(tmp_path):
    (tmp_path / "empty").mkdir()
    inputs.check_model("owner/model-0.5B")
    for model, message in ((tmp_path / "empty", "has no config.json"), (tmp_path / "none", "does not exist")):
        with pytest.raises(QuickstartError, match=message):
            inputs.check_model(str(model))


def test_the_command_ends_with_one_line_on_bad_input(tmp_path):
    none = str(tmp_path / "none.parquet")
    environment = os.environ | {"OUT": str(tmp_path), "MODEL": "owner/model", "TRAIN_FILES": none, "VAL_FILES": none}
    command = [sys.executable, str(QUICKSTART / "quickstart.py")]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"error: TRAIN_FILES: {none} does not exist\n"


# processes


def test_two_runs_in_one_folder_refuse(tmp_path):
    with (
        lock.only_one(tmp_path),
        pytest.raises(QuickstartError, match="another run is going on"),
        lock.only_one(tmp_path),
    ):
        pass
    with lock.only_one(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(QuickstartError, match="OUT: cannot write to"), lock.only_one(tmp_path / "file" / "out"):
        pass


# training


def make_checkpoints(folder, steps, note):
    for step in steps:
        model = folder / "checkpoints" / f"global_step_{step}" / "actor" / "huggingface"
        model.mkdir(parents=True)
        (model / "config.json").write_text("{}")
    if note is not None:
        (folder / "checkpoints" / TRACKER).write_text(note)


@pytest.mark.parametrize(
    ("steps", "note", "newest"),
    [
        ([], None, 0),
        ([10, 20], "20", 20),
        ([10, 20], "10", 10),  # killed while writing 20
        ([10, 20], "", 10),  # killed while noting 20
        ([10], None, 0),  # killed while writing the first
        ([20], "10", 0),  # 10 is gone
    ],
)
def test_a_run_continues_from_the_newest_whole_checkpoint(tmp_path, steps, note, newest):
    make_checkpoints(tmp_path, steps, note)
    assert checkpoints.finished_step(tmp_path) == newest
    whole = [path.name for path in tmp_path.glob("checkpoints/global_step_*") if int(path.name[12:]) <= newest]
    checkpoints.tidy(tmp_path, keep_older=True)
    assert sorted(path.name for path in tmp_path.glob("checkpoints/global_step_*")) == sorted(whole)
    checkpoints.tidy(tmp_path, keep_older=False)
    left = [path.name for path in tmp_path.glob("checkpoints/global_step_*")]
    assert left == ([f"global_step_{newest}"] if newest else [])
    assert checkpoints.finished_step(tmp_path) == newest
    tracker = tmp_path / "checkpoints" / TRACKER
    assert (tracker.read_text() if tracker.exists() else "0") == str(newest)


def test_older_checkpoints_keep_their_weights_alone(tmp_path):
    for step in (1, 2, 3):
        actor = tmp_path / f"checkpoints/global_step_{step}/actor"
        (actor / "huggingface").mkdir(parents=True)
        (actor / "lora_adapter").mkdir()
        for name in ("huggingface/config.json", "optim_world_size_1_rank_0.pt", "../data.pt", "lora_adapter/a"):
            (actor / name).write_text("")
    (tmp_path / "checkpoints" / TRACKER).write_text("2")  # the third is being written
    checkpoints.keep_weights_of_older(tmp_path)
    left = {
        step: sorted(
            str(path.relative_to(tmp_path / f"checkpoints/global_step_{step}"))
            for path in (tmp_path / f"checkpoints/global_step_{step}").rglob("*")
            if path.is_file()
        )
        for step in (1, 2, 3)
    }
    assert left[1] == ["actor/huggingface/config.json"]
    assert left[2] == left[3]
    assert len(left[2]) == 4
    assert checkpoints.finished_step(tmp_path) == 2


def test_metrics_of_several_attempts_are_merged_by_step(tmp_path):
    (tmp_path / "metrics").mkdir()
    first = [{"step": step, "data": {"reward": step}} for step in (1, 2, 3)]
    second = [{"step": step, "data": {"reward": 10 * step}} for step in (3, 4)]
    (tmp_path / "metrics" / "0000.jsonl").write_text("\n".join(map(json.dumps, first)) + '\n{"step": 4, "da')
    (tmp_path / "metrics" / "0001.jsonl").write_text("\n".join(map(json.dumps, second)) + "\n")
    rewards = {step: data["reward"] for step, data in read_metrics(tmp_path).items()}
    assert rewards == {1: 1, 2: 2, 3: 30, 4: 40}


def test_the_last_error_of_this_attempt_is_found_in_verls_log(tmp_path):
    log = tmp_path / "verl.log"
    log.write_text("ValueError: of the attempt before\n")
    start = log.stat().st_size
    with log.open("a") as file:
        file.write("\x1b[36m(TaskRunner pid=12)\x1b[0m RuntimeError: disk full\n(raylet) goodbye\n")
    assert training._last_error(log, start) == "RuntimeError: disk full"
    with log.open("a") as file:
        size = log.stat().st_size
        file.write("Killed\n")
    assert training._last_error(log, size) == "Killed"
    assert training._last_error(log, log.stat().st_size) == "it wrote nothing"


def test_a_failed_training_ends_with_one_line(tmp_path):
    command = [sys.executable, "-c", "raise SystemExit('ImportError: no such thing')"]
    with (
        Phases(1, Console(file=io.StringIO())).phase("training") as phase,
        pytest.raises(
            QuickstartError, match=r"verl stopped early: ImportError: no such thing \(its log: .*verl\.log\)"
        ),
    ):
        training.train(command, tmp_path, 5, phase)


def test_methods_differ_in_nothing_but_their_name_and_rank(tmp_path):
    settings = settings_in(tmp_path, VERL_ARGS="a.b=1 c=2")

    def command(method, gpu):
        return training.verl_command(method, settings, "m", [tmp_path / "t"], [tmp_path / "v"], tmp_path, gpu)

    grpo, resrl = set(command("grpo", False)), set(command("resrl", False))
    assert resrl - grpo == {"+method=resrl", "resrl.rank=16", "trainer.experiment_name=resrl"}
    assert {"+device=cpu", "a.b=1", "c=2"} <= grpo
    assert not [argument for argument in command("grpo", True) if "cpu" in argument]


def test_a_small_pretrained_model_keeps_its_activations_on_a_cpu(tmp_path):
    keep = "actor_rollout_ref.model.enable_gradient_checkpointing=False"

    def command(gpu, **knobs):
        settings = settings_in(tmp_path, **knobs)
        return training.verl_command("grpo", settings, "m", [tmp_path / "t"], [tmp_path / "v"], tmp_path, gpu)

    assert keep in command(False, START="smollm2-135m")
    assert keep not in command(True, START="smollm2-135m")
    assert keep not in command(False, START="smollm2-135m", MODEL="owner/model", **OWN_FILES)
    assert keep not in command(False)


@pytest.mark.parametrize(("found", "group"), [("avx512_bf16", "cpu_bf16"), ("amx_bf16", "cpu_bf16"), ("avx2", "cpu")])
def test_a_pretrained_model_trains_in_bfloat16_where_the_cpu_has_it(tmp_path, monkeypatch, found, group):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"architecture": "x86_64", found: True})

    def devices(gpu=False, **knobs):
        settings = settings_in(tmp_path, **knobs)
        command = training.verl_command("grpo", settings, "m", [tmp_path / "t"], [tmp_path / "v"], tmp_path, gpu)
        return [argument for argument in command if argument.startswith("+device")]

    assert devices(START="smollm2-135m") == devices(MODEL="owner/model", **OWN_FILES) == [f"+device={group}"]
    assert devices() == ["+device=cpu"]
    assert devices(gpu=True, START="smollm2-135m") == []
    evaluation = evaluate.evaluation_settings("m", [tmp_path], settings_in(tmp_path, START="smollm2-135m"), tmp_path)
    assert (evaluation.dtype == "bfloat16") == (group == "cpu_bf16")


def test_a_pytorch_that_cannot_tell_has_a_cpu_without_bfloat16(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert not precision.computes_in_bfloat16()


def test_a_gpu_without_flash_attn_trains_with_sdpa(tmp_path, monkeypatch):
    sdpa = "+actor_rollout_ref.model.override_config.attn_implementation=sdpa"
    mine = "+actor_rollout_ref.model.override_config.attn_implementation=eager"

    def command(gpu=True, **knobs):
        settings = settings_in(tmp_path, **knobs)
        return training.verl_command("resrl", settings, "m", [tmp_path / "t"], [tmp_path / "v"], tmp_path, gpu)

    monkeypatch.setitem(sys.modules, "flash_attn", None)
    assert sdpa in command()
    assert sdpa not in command(gpu=False)  # +device=cpu says so itself
    assert [argument for argument in command(VERL_ARGS=mine) if "attn_implementation" in argument] == [mine]
    monkeypatch.setitem(sys.modules, "flash_attn", ModuleType("flash_attn"))
    assert sdpa not in command()


@pytest.mark.parametrize("text", ["/plain/path", "/with space, comma=[x]", "/it's {odd}$ \\"])
def test_any_path_survives_hydras_grammar(text):
    from hydra.core.override_parser.overrides_parser import OverridesParser

    (override,) = OverridesParser.create().parse_overrides([f"key={training._hydra_list([Path(text)])}"])
    (value,) = override.value()
    assert str(value) == text


# progress


def show(steps, is_terminal=False):
    """What is printed when the clock is moved between reports."""
    out, clock = io.StringIO(), [0.0]
    phases = Phases(3, Console(file=out, force_terminal=is_terminal, width=200), lambda: clock[0])
    phases.cached("puzzles", "there")
    with phases.phase("warm start") as phase:
        for clock[0], *arguments in steps:
            phase.update(*arguments) if len(arguments) > 1 else phase.waiting(*arguments)
    return out.getvalue().splitlines()


def test_plain_lines_tell_phase_step_and_seconds_left():
    lines = show(
        [(1, "loading"), (11, "still loading"), (20, 1, 100), (30, 11, 100, "loss 2"), (31, 12, 100), (50, 31, 100)]
    )
    assert lines == [
        "(1/3) puzzles: there (done before)",
        "(2/3) warm start ...",
        "(2/3) warm start: still loading (11 s)",
        "(2/3) warm start: 11/100, loss 2, 89 s left",
        "(2/3) warm start: 31/100, 69 s left",
        "(2/3) warm start: 50 s",
    ]


def test_the_seconds_left_go_down_while_a_step_is_made():
    lines = show([(40, 1, 4), (50, 2, 4), (60, 2, 4), (75, 2, 4), (85, 3, 4)])
    assert [line.rpartition(", ")[2] for line in lines[3:-1]] == ["20 s left", "10 s left", "0 s left", "22 s left"]


def test_a_terminal_gets_a_bar_and_one_line_at_the_end():
    lines = show([(1, 1, 4, "loss 2"), (9, 4, 4, "loss 1")], is_terminal=True)
    assert "(2/3) warm start: 9 s, loss 1" in lines[-1]


# warm start


def test_examples_are_what_verl_will_ask_and_a_right_answer(tmp_path):
    problems, _ = generate_problems(20, 0, seed=0, num_numbers=3, min_answers=1)
    tokenizer = warm_start.character_tokenizer()
    ids, labels = warm_start._batch(problems, tokenizer, random.Random(0))
    for problem, row, label in zip(problems, ids.tolist(), labels.tolist(), strict=True):
        start = next(place for place, token in enumerate(label) if token != warm_start.IGNORED)
        answer = [token for token in label if token != warm_start.IGNORED]
        assert row[start : start + len(answer)] == answer
        assert answer[-1] == tokenizer.eos_token_id
        prompt = tokenizer.decode(row[:start])
        shown = prompt.removeprefix("<user>").removesuffix(":<assistant>")
        assert sorted(shown) == sorted(problem.ground_truth)
        chat = [{"role": "user", "content": shown + ":"}]
        assert row[:start] == tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
        assert compute_score("", tokenizer.decode(answer, skip_special_tokens=True), shown)["score"] == 1.0
        assert set(row[start + len(answer) :]) <= {tokenizer.pad_token_id}


def test_the_model_has_nearly_a_million_parameters_and_is_seeded():
    tokenizer = warm_start.character_tokenizer()
    one, same, other = (warm_start.small_model(tokenizer, seed).state_dict() for seed in (0, 0, 1))
    assert 0.7e6 < sum(weight.numel() for weight in one.values()) < 1.3e6
    assert all((one[name] == same[name]).all() for name in one)
    assert any((one[name] != other[name]).any() for name in one)


# evaluation and report


def test_evaluation_of_a_random_model_counts_what_the_verifier_says(tmp_path):
    _, test = generate_problems(0, 3, seed=0, num_numbers=3, min_answers=1)
    write_parquet(test, "test", tmp_path / "test.parquet")
    tokenizer = warm_start.character_tokenizer()
    warm_start.small_model(tokenizer, 0).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    odd = tmp_path / "reward.py"
    odd.write_text(
        "def compute_score(data_source, solution_str, ground_truth, extra_info):\n return len(solution_str) % 2"
    )
    settings = settings_in(tmp_path, EVAL_PROBLEMS=2, EVAL_SAMPLES=16, MAX_RESPONSE=4)
    start = tmp_path / "start"
    seen = []

    def run(settings, identity):
        done = evaluate.finished_evaluation(start, 0, identity)
        files, model = [tmp_path / "test.parquet"], str(tmp_path / "model")
        report = lambda done, total, note: seen.append((done, total))  # noqa: E731
        return done or evaluate.evaluate(model, files, settings, start, 0, identity, report)

    none = run(settings, "one")
    assert (none["num_problems"], none["num_samples"], none["avg_at_n"]["mean"]) == (2, 16, 0)
    assert (32, 32) in seen
    seen.clear()
    assert run(settings, "one") == none
    assert seen == []  # it was there
    some = run(replace(settings, reward_file=odd), "another")
    samples = [json.loads(line) for line in (start / "evaluations/step_0/samples.jsonl").read_text().splitlines()]
    right = sum(len(sample["response"]) % 2 for sample in samples)
    assert 0 < right < 32
    assert some["avg_at_n"]["mean"] == right / 32
    assert [*some["pass_at_k"]] == ["1", "2", "4", "8", "16"]
    assert evaluate.finished_evaluation(start, 0, "one") is None
    odd_ones = replace(settings, reward_file=odd)
    evaluate.sample(
        str(tmp_path / "model"), [tmp_path / "test.parquet"], odd_ones, tmp_path / "c", 8, 3, lambda *_: None
    )
    rows = [json.loads(line) for line in (tmp_path / "c/samples.jsonl").read_text().splitlines()]
    solved = {number: [row["correct"] for row in rows if row["problem"] == number] for number in range(3)}
    assert {len(both) for both in solved.values()} == {8}
    keep_sometimes_solved(tmp_path / "c", tmp_path / "kept.parquet")
    assert num_kept(tmp_path / "kept.parquet", 1) == sum(0 < sum(both) < 8 for both in solved.values()) > 0
    (tmp_path / "run").mkdir()
    evaluate.share_evaluation(start, tmp_path / "run", 0)
    tokens = (tmp_path / "run/evaluations/step_0/tokens.jsonl").read_text().splitlines()
    assert [json.loads(line)["problem"] for line in tokens] == [0, 1]


def summary(mean):
    figure = {"mean": mean, "low": mean, "high": mean}
    return {
        "num_problems": 5,
        "num_samples": 64,
        "avg_at_n": figure,
        "avg_at_first": {"16": figure},
        "pass_at_k": {"1": figure, "64": {"mean": 0.75, "low": 0.5, "high": 1.0}},
        "distinct_correct": 2.0,
        "majority_vote": figure,
        "mean_length": 9.0,
        "self_bleu": None,
    }


def test_report_writes_table_json_plots_and_page(tmp_path):
    evaluations = {"start": summary(0.25), "resrl": summary(0.5)}
    rewards = {"resrl": {step: step / 20 for step in range(1, 21)}}
    run = tmp_path / "resrl-1"
    (run / "hydra/.hydra").mkdir(parents=True)
    (run / "hydra/.hydra/config.yaml").write_text("trainer: {experiment_name: resrl}\ndata: {seed: 0}\n")
    out = io.StringIO()
    report.write_report(tmp_path, {"seed": 0}, evaluations, rewards, [run], Console(file=out, width=80))
    rows = {line.split("  ")[1]: line.split()[-2:] for line in out.getvalue().splitlines() if "0." in line}
    assert rows["Avg@16"] == ["0.250", "0.500"]
    assert rows["Pass@64"] == ["0.750", "0.750"]
    assert rows["reward, first 10 steps"][-1] == "0.275"
    assert rows["reward, last 10 steps"][-1] == "0.775"
    written = json.loads((tmp_path / "metrics.json").read_text())
    assert written["evaluations"]["resrl"] == evaluations["resrl"]
    assert written["rewards"]["resrl"]["20"] == 1.0
    for name in ("pass_at_k.png", "reward.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert "resrl" in (tmp_path / "report/report.html").read_text()
