# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The study: its knobs, what its variants change, several trainings at a time, and the places of first wrong tokens."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from common import Common, evaluation, num_phases, prepare
from interference_error import dense
from knobs import COUNTDOWN
from localise import _first_wrong, measure, unknown_sources
from one_step import Group
from origin import code_of_results, origin_of_results
from rich.console import Console
from settings import QuickstartError
from sometimes import keep_sometimes_solved, num_kept
from study import Study
from study_settings import SIZES, SMALLEST, StudySettings
from tables import displacement_table, mechanism_settings_table, paired_table, results_table
from trainings import Training, _shares_of_the_cores, run_trainings
from variants import FIXED_RATES, OWN_SEEDS, REPORTS, SUITES, Variant

from tests.examples.finished import small_model_in, write_finished
from tests.integration.agent_loops import byte_tokenizer
from tests.integration.test_composition import flat_composed
from verl_resrl import ResRLConfig, token_weights
from verl_resrl.evaluation.generate import load_model, load_tokenizer
from verl_resrl.evaluation.problems import Problem, read_problems
from verl_resrl.evaluation.samples import Sample
from verl_resrl.evaluation.states import response_ids, response_states
from verl_resrl.tasks import word_problems
from verl_resrl.tasks.countdown_data import generate_problems, write_parquet

ROOT = Path(__file__).resolve().parents[2]
OWN_FILES = {"TRAIN_FILES": "a.parquet", "VAL_FILES": "b.parquet"}


def study(folder: Path, **knobs: str) -> Study:
    return Study(StudySettings.from_environment({"OUT": str(folder), **knobs}), False, Console(file=io.StringIO()))


def places(folder: Path) -> Common:
    write_parquet(generate_problems(1, 2, seed=0)[1], "test", folder / "test.parquet")
    return Common((folder / "train.parquet",), (folder / "test.parquet",), str(folder / "model"), folder / "step_0")


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"SIZE": "huge"}, "SIZE=huge must be one of laptop, 135m, gpu"),
        ({"SUITES": "methods all"}, "SUITES: 'all' is none of methods"),
        ({"SUITES": "half-rate", "SIZE": "gpu"}, "SUITES: half-rate has learning rates for the small model"),
        ({"SEEDS": "0"}, r"SEEDS=0 must be an integer in \[1, 1000\]"),
        ({"JOBS": "two"}, r"JOBS=two must be an integer in \[1, 1000\]"),
        ({"SEED": "1"}, "SEED is of one run; a study has SEEDS"),
        ({"METHODS": "grpo"}, "METHODS is of one run; a study has SUITES"),
        ({"START": "smollm2-135m"}, "SIZE=laptop: START=tiny goes with SIZE=laptop, all else with one of the others"),
        ({"START": "tiny", "SIZE": "135m"}, "SIZE=135m: START=tiny goes with SIZE=laptop"),
        ({"MODEL": "owner/model", **OWN_FILES}, "SIZE=laptop: START=tiny goes with SIZE=laptop"),
        ({"MODEL": "owner/model", "SIZE": "135m"}, "MODEL, TRAIN_FILES and VAL_FILES go together"),
        ({"LR": "0"}, "LR=0 must be a number above 0"),
    ],
)
def test_bad_knobs_are_named(knobs: dict[str, str], message: str) -> None:
    with pytest.raises(QuickstartError, match=message):
        StudySettings.from_environment(knobs)


def test_a_study_of_another_size_is_not_continued(tmp_path: Path) -> None:
    study(tmp_path)._claim()
    study(tmp_path, SEEDS="7", SUITES="half-rate")._claim()
    with pytest.raises(QuickstartError, match=r"holds another study \(steps 20 there and 30 now"):
        study(tmp_path, SIZE="gpu")._claim()


def variants_and_seeds(suites: Collection[str], seeds: Iterable[int]) -> set[tuple[Variant, int]]:
    return {
        (variant, seed)
        for report in REPORTS
        if report.suite in suites
        for variant in report.variants
        for seed in OWN_SEEDS.get(report.suite, seeds)
    }


@pytest.mark.parametrize("size", SIZES)
def test_every_variant_of_a_suite_is_trained_under_every_seed(size: str, tmp_path: Path) -> None:
    suites = [suite for suite in SUITES if size == SMALLEST or suite not in FIXED_RATES]
    whole = study(tmp_path, SUITES=" ".join(suites), SEEDS="2", SIZE=size)
    trained = {training.folder for training in whole._trainings(places(tmp_path))}
    assert trained == {whole._folder(*pair) for pair in variants_and_seeds(suites, (0, 1))}


def test_variants_compose_and_differ_from_their_method_in_what_they_say(tmp_path: Path) -> None:
    whole = study(tmp_path, SUITES=" ".join(SUITES), SEEDS="2")
    common = whole.settings.common()
    numbers = {name: getattr(common, name) for name in ("prompts", "mini_batch", "rollouts")}
    trainings = {training.folder: training for training in whole._trainings(places(tmp_path))}
    # each under one of its seeds
    for variant, seed in {variant: (variant, seed) for variant, seed in variants_and_seeds(SUITES, (0, 1))}.values():
        command = trainings[whole._folder(variant, seed)].command
        overrides = [text for text in command[3:] if not text.startswith(("hydra.", "trainer."))]
        assert set(command) >= {f"+method={variant.method}", f"trainer.experiment_name='{variant.name}'"}
        says = variant.overrides(**numbers)
        rate = (variant.lr or common.lr) * variant.lr_times
        says += [] if rate == common.lr else [f"actor_rollout_ref.actor.optim.lr={rate:g}"]
        plain = [text for text in overrides if text.split("=")[0] not in {said.split("=")[0] for said in says}]
        config, without = flat_composed(*overrides), flat_composed(*plain)
        settings = dict(text.split("=", 1) for text in says)
        differing = {name for name in config if config[name] != without[name]}
        assert differing <= set(settings), variant
        assert {name: str(config[name]) for name in settings}.items() <= settings.items(), variant
        assert config["actor_rollout_ref.actor.optim.lr"] == pytest.approx(rate)
        assert config["data.seed"] == seed
        responses = config["data.train_batch_size"] * config["actor_rollout_ref.rollout.n"]
        assert responses == common.prompts * common.rollouts
        if variant.method == "resrl":
            ResRLConfig(**{name[6:]: value for name, value in config.items() if name.startswith("resrl.")})


def test_rates_are_multiples_of_what_suits_the_model(tmp_path: Path) -> None:
    for size, wanted in (("135m", ["3e-06", "1e-05", "3e-05"]), ("gpu", ["6e-07", "2e-06", "6e-06"])):
        trainings = study(tmp_path, SUITES="pretrained-rates", SIZE=size)._trainings(places(tmp_path))
        rates = [text.split("=")[1] for training in trainings for text in training.command if "optim.lr=" in text]
        assert rates == 5 * wanted


def test_one_folder_is_not_two_trainings(tmp_path: Path) -> None:
    """The first look's ResRL does not measure the displacement, the comparison's does."""
    with pytest.raises(QuickstartError, match=r"SEEDS: resrl-lambda_pos-1-lr-x1-seed100 would be two trainings"):
        study(tmp_path, SIZE="135m", SUITES="pretrained-first pretrained", SEEDS="101")._trainings(places(tmp_path))


def test_a_study_in_another_precision_is_not_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def dtype(capability: str) -> list[str]:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {capability: True})
        arguments = evaluation(study(tmp_path, SIZE="135m").settings.common(), [tmp_path])
        return arguments[arguments.index("--dtype") :][:2]

    assert dtype("avx2") == ["--dtype", "auto"]
    study(tmp_path, SIZE="135m")._claim()
    assert dtype("avx512_bf16") == ["--dtype", "bfloat16"]
    with pytest.raises(QuickstartError, match=r"holds another study \(device cpu there and cpu_bf16 now\)"):
        study(tmp_path, SIZE="135m")._claim()


def test_nothing_loads_torch_before_the_variables_that_it_reads() -> None:
    """OMP_WAIT_POLICY and GOMP_SPINCOUNT, which main() sets."""
    for folder, program in (("quickstart", "quickstart"), ("study", "study")):
        code = (
            f"import sys; sys.path.insert(0, 'examples/{folder}'); import {program}; sys.exit('torch' in sys.modules)"
        )
        assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0, program


def test_group_sizes_are_half_and_double_that_of_the_others(tmp_path: Path) -> None:
    trainings = study(tmp_path, SUITES="sensitivity", SEEDS="1")._trainings(places(tmp_path))
    sizes = [[text for text in training.command if "rollout.n=" in text][-1] for training in trainings]
    assert {int(text.split("=")[1]) for text in sizes} == {4, 8, 16}


def test_origin_names_commit_versions_and_machine() -> None:
    origin = origin_of_results()
    head = subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    assert (origin["commit"] or "").removesuffix("+changes") == head.stdout.strip()
    assert origin["code"] == code_of_results()
    assert origin["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]  # one may say which CUDA
    assert origin["processor"]
    assert origin["cores"] >= 1


def test_only_problems_that_are_sometimes_solved_are_kept(tmp_path: Path) -> None:
    assert num_phases(study(tmp_path).settings) + 2 == num_phases(study(tmp_path, SIZE="135m").settings)
    write_parquet(generate_problems(5, 1, seed=0)[0], "train", tmp_path / "short.parquet")
    short = pq.read_table(tmp_path / "short.parquet")
    short = short.append_column("difficulty", pa.array([1] * len(short), pa.int32()))  # a type that no row tells
    long = short.slice(0, 1).to_pylist()
    long[0]["prompt"][0]["content"] *= 5  # is left out, so that problem 0 is row 1
    pq.write_table(pa.concat_tables([pa.Table.from_pylist(long, short.schema), short]), tmp_path / "train.parquet")
    model, attempts = small_model_in(tmp_path / "model"), {0: "11", 1: "01", 2: "00", 3: "10", 4: "00000000" + "1"}
    responses = {number: [("1", verdict == "1") for verdict in found] for number, found in attempts.items()}

    def kept_of(name: str, responses: dict[int, list[tuple[str, bool]]]) -> list[dict[str, Any]]:
        folder = write_finished(tmp_path / name, model, tmp_path / "train.parquet", responses, max_prompt_tokens=24)
        keep_sometimes_solved(folder, tmp_path / "kept.parquet")
        assert num_kept(tmp_path / "kept.parquet", prompts=2) == 2
        kept = pq.read_table(tmp_path / "kept.parquet")
        assert kept.schema.equals(short.schema)
        return kept.to_pylist()

    assert kept_of("some", responses) == [short.to_pylist()[number] for number in (1, 3)]
    with pytest.raises(QuickstartError, match="PROMPTS=3: the start sometimes solves 2 problems; set PROMPTS lower"):
        num_kept(tmp_path / "kept.parquet", prompts=3)
    with pytest.raises(QuickstartError, match="the start solves none or all of 1 problems each time"):
        kept_of("none", {0: responses[0]})


REWARD = """
def compute_score(data_source, solution_str, ground_truth, extra_info=None, **kwargs):
    return float(len(solution_str) % 2)
"""


def test_a_model_data_and_reward_of_ones_own_are_shared_by_all_trainings(tmp_path: Path) -> None:
    problems, held_out = generate_problems(4, 2, seed=0)
    for name, found in (("train", problems), ("test", held_out)):
        write_parquet(found, name, tmp_path / f"{name}.parquet")
        table = pq.read_table(tmp_path / f"{name}.parquet")
        column = pa.array(["parity"] * len(table))
        pq.write_table(table.set_column(0, "data_source", column), tmp_path / f"{name}.parquet")
    (tmp_path / "reward.py").write_text(REWARD)
    model, out = small_model_in(tmp_path / "model"), tmp_path / "out"
    out.mkdir()
    knobs = {
        name: str(tmp_path / f"{file}.parquet") for name, file in (("TRAIN_FILES", "train"), ("VAL_FILES", "test"))
    }
    knobs |= {"MODEL": str(model), "REWARD_FILE": str(tmp_path / "reward.py"), "LR": "1e-3", "SAVE_EVERY": "15"}
    knobs |= {"PROMPTS": "2", "MINI_BATCH": "2", "MAX_RESPONSE": "6", "MAX_PROMPT": "16", "EVAL_PROBLEMS": "2"}
    whole = study(out, SIZE="135m", SEEDS="1", **knobs)
    whole._claim()
    common = prepare(whole.settings, whole.phases)
    assert (common.model, common.test) == (str(model), (tmp_path / "test.parquet",))
    assert not (out / "data").exists()
    kept = pq.read_table(*common.train).to_pylist()
    assert 2 <= len(kept) <= 4
    assert all(row in pq.read_table(tmp_path / "train.parquet").to_pylist() for row in kept)
    for training in whole._trainings(common):
        config = flat_composed(*(text for text in training.command[3:] if not text.startswith("hydra.")))
        assert config["actor_rollout_ref.model.path"] == str(model)
        assert config["reward.custom_reward_function.path"] == str(tmp_path / "reward.py")
        assert config["actor_rollout_ref.actor.optim.lr"] == 1e-3
        assert (config["trainer.save_freq"], training.save_every) == (15, 15)
    assert unknown_sources(common.test) == ["parity"]
    whole._localise(common, set())
    assert not (out / "localisation.json").exists()
    (tmp_path / "reward.py").write_text(REWARD + "# of tomorrow\n")
    with pytest.raises(QuickstartError, match=r"holds another study \(reward \w+ there and \w+ now\)"):
        study(out, SIZE="135m", **knobs)._claim()
    (tmp_path / "reward.py").write_text(REWARD)
    write_parquet(held_out[:1], "test", tmp_path / "test.parquet")
    with pytest.raises(QuickstartError, match=r"holds another study \(data \w+ there and \w+ now\)"):
        study(out, SIZE="135m", **knobs)._claim()


def test_a_size_for_a_gpu_is_refused_without_one(tmp_path: Path) -> None:
    environment = os.environ | {"OUT": str(tmp_path), "SIZE": "gpu-1.7b", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, str(ROOT / "examples" / "study" / "study.py")]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.startswith("error: SIZE: this one needs an NVIDIA GPU")


TRAINER = """
import json, os, sys
from pathlib import Path
sys.path.insert(0, {quickstart!r})
from warm_start import character_tokenizer, small_model
for step in (1, 2):
    model = Path("checkpoints") / f"global_step_{{step}}" / "actor" / "huggingface"
    tokenizer = character_tokenizer()
    small_model(tokenizer, step).save_pretrained(model)
    tokenizer.save_pretrained(model)
    (model.parent / "optim_world_size_1_rank_0.pt").write_text("")
    Path("checkpoints/latest_checkpointed_iteration.txt").write_text(str(step))
    with open(os.environ["VERL_FILE_LOGGER_PATH"], "a") as file:
        file.write(json.dumps({{"step": step, "data": {{"critic/score/mean": 0.5}}}}) + "\\n")
"""


def training(folder: Path, name: str, program: str) -> Training:
    """A run whose trainer is a program that leaves what verl leaves."""
    start = folder / "start"
    start.mkdir(exist_ok=True)
    (start / "summary.json").write_text("{}")
    evaluation = ["eval", "--data", str(folder / "test.parquet"), "--reward-file", str(COUNTDOWN), "--n", "2"]
    evaluation += ["--limit", "2", "--max-tokens", "4", "--run", str(folder / name)]
    command = [sys.executable, "-c", program]
    return Training(name, folder / name, command, evaluation, start, 2, 1, code_of_results())


def test_trainings_are_trained_and_evaluated_and_one_that_fails_stops_no_other(tmp_path: Path) -> None:
    write_parquet(generate_problems(1, 2, seed=0)[1], "test", tmp_path / "test.parquet")
    good = training(tmp_path, "good", TRAINER.format(quickstart=str(ROOT / "examples" / "quickstart")))
    bad = training(tmp_path, "bad", "raise SystemExit('ImportError: no such thing')")
    output = io.StringIO()
    failures = run_trainings([bad, good], 2, Console(file=output, width=200))
    assert len(failures) == 1
    assert failures[0].startswith("bad: verl stopped early: ImportError: no such thing")
    assert "good: trained and evaluated" in output.getvalue()
    assert good.is_evaluated()
    for step in (1, 2):
        summary = json.loads((good.folder / "evaluations" / f"step_{step}" / "summary.json").read_text())
        assert summary["overall"]["num_samples"] == 2
        actor = good.folder / f"checkpoints/global_step_{step}/actor"
        assert [path.name for path in actor.iterdir()] == ["huggingface"]  # a finished training needs no more
    origin = json.loads((good.folder / "origin.json").read_text())
    assert origin["seconds"] > 0
    assert origin["code"] == code_of_results()
    assert run_trainings([good], 1, Console(file=output)) == []
    assert "1 of 1 trainings: done before" in output.getvalue()
    with pytest.raises(QuickstartError, match=r"good was trained by another command \(x=1\)"):  # finished as it is
        run_trainings([replace(good, command=[*good.command, "x=1"])], 1, Console(file=output))


def test_a_training_is_not_continued_by_another_command_or_other_sources(tmp_path: Path) -> None:
    def failure(run: Training) -> str:
        (line,) = run_trainings([run], 1, Console(file=io.StringIO()))
        return line

    bad = training(tmp_path, "bad", "raise SystemExit('OSError: full')")
    assert "OSError: full" in failure(bad)
    first = json.loads((bad.folder / "origin.json").read_text())
    assert "OSError: full" in failure(bad)
    again = json.loads((bad.folder / "origin.json").read_text())
    assert again["date"] == first["date"]
    assert again["seconds"] > first["seconds"]
    with pytest.raises(QuickstartError, match="was trained by another command"):
        failure(replace(bad, command=[*bad.command, "x=1"]))
    assert "the sources were changed while the study runs" in failure(replace(bad, code="of yesterday"))


def test_training_that_was_killed_before_its_evaluation_is_not_trained_again(tmp_path: Path) -> None:
    write_parquet(generate_problems(1, 2, seed=0)[1], "test", tmp_path / "test.parquet")
    run = training(tmp_path, "run", TRAINER.format(quickstart=str(ROOT / "examples" / "quickstart")))
    subprocess.run([sys.executable, "-c", run.command[-1]], cwd=made(run.folder), env=with_log(tmp_path), check=True)
    (run.folder / "evaluations" / "start.tmp").mkdir(parents=True)  # killed while copying
    again = replace(run, command=[sys.executable, "-c", "raise SystemExit('trained again')"])
    assert not again.is_evaluated()
    assert run_trainings([again], 1, Console(file=io.StringIO())) == []
    assert again.is_evaluated()


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def with_log(folder: Path) -> dict[str, str]:
    return os.environ | {"VERL_FILE_LOGGER_PATH": str(folder / "0000.jsonl")}


def test_an_error_that_nobody_expects_ends_all_trainings_and_is_not_swallowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And text in brackets, which rich would take for markup, is shown as it is."""
    bad = training(tmp_path, "bad", "raise SystemExit('OSError: [/some/path] is full')")
    output = io.StringIO()
    assert "[/some/path]" in run_trainings([bad], 1, Console(file=output, width=200))[0]
    assert "[/some/path]" in output.getvalue()
    slow = training(tmp_path, "slow", "import time; time.sleep(600)")
    monkeypatch.setattr("trainings.Board.show", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run_trainings([slow, slow], 1, Console(file=output))


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="cores cannot be chosen here")
def test_every_job_has_cores_even_if_there_are_more_jobs() -> None:
    cores = os.sched_getaffinity(0)
    for jobs in (1, 2, len(cores) + 3):
        shares = _shares_of_the_cores(jobs)
        given = [shares.get() for _ in range(jobs)]
        assert shares.empty()
        assert all(share and share <= cores for share in given)
        assert set().union(*given) == cores


def test_tables_say_means_intervals_and_seeds_without_a_common_avg() -> None:
    def row(method: str, checkpoint: str, avg: float) -> dict[str, Any]:
        return {"source": "overall", "method": method, "checkpoint": checkpoint, "measures": {"Avg@n": {"mean": avg}}}

    matched = {"source": "overall", "method": "b", "k": 16, "difference": 0.0125, "low": -0.5, "high": 0.5}
    matched |= {"seeds": {"0": {"difference": 0.1}, "1": {"difference": -0.2}}, "uncovered_seeds": {"2": "lower"}}
    numbers = {
        "baseline": "a",
        "results": [row("a", "start", 0.1), row("a", "last", 0.25), row("b", "last", 0.5)],
        "matched_differences": [matched, matched | {"k": 64, "difference": None, "seeds": {}}],
    }
    lines = results_table(numbers, ["b", "a", "not trained"]).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| start", "| b", "| a"]
    assert lines[3].split(" | ")[1] == "0.500"
    assert "| +0.013 [-0.500, +0.500], 1 of 2 (1 of 3 seeds: Avg only below a's) |" in lines[3]
    assert lines[3].endswith("| no common Avg (1 of 1 seeds: Avg only below a's) |")


def test_paired_differences_stand_with_their_seeds() -> None:
    row = {"source": "overall", "method": "b", "measure": "Avg@n", "difference": 0.0125, "low": -0.5, "high": 0.5}
    row |= {"p_holm": 0.04, "seeds": {"0": 0.1, "1": -0.075}}
    others = [row | {"source": "puzzles", "low": 0.0}, row | {"measure": "Pass@2", "low": 0.0}]
    numbers = {"baseline": "a", "paired_differences": [row, row | {"method": "c", "difference": -1.0}, *others]}
    assert paired_table(numbers, ["c", "a", "b"]).splitlines() == [
        "|  | Avg@n minus a's | p, after Holm | by seed |",
        "| --- | --- | --- | --- |",
        "| c | -1.000 [-0.500, +0.500] | 0.040 | +0.100, -0.075 |",
        "| b | +0.013 [-0.500, +0.500] | 0.040 | +0.100, -0.075 |",
    ]


def test_displacement_of_each_seed_stands_in_the_cells() -> None:
    row = {"method": "a", "measured": -0.001, "predicted": 12.34, "predicted_over_steps": 0.5, "over_steps": None}
    numbers = {"lld_rank_correlations": [row, row | {"method": "b"}, row | {"measured": 0.002, "over_steps": -0.25}]}
    assert displacement_table(numbers).splitlines()[2:] == [
        "| a | -0.0010, +0.0020 | +12.3, +12.3 | +0.50, +0.50 | none, -0.25 |",
        "| b | -0.0010 | +12.3 | +0.50 | none |",
    ]


def test_steps_under_other_settings_stand_below_each_other() -> None:
    step = {"groups": 2, "right": [0.5, 0.25, 0.75], "wrong": [-1.0, -2.0, 0.0], "gap": [1.5, 1.0, 2.0]}
    found = {"rank 16": {"weightings": {"none": step, "residual": step}}, "rank 64": {"weightings": {"none": step}}}
    cells = "2 | +0.5000 [+0.2500, +0.7500] | -1.0000 [-2.0000, +0.0000] | +1.5000 [+1.0000, +2.0000] |"
    assert mechanism_settings_table(found, ["residual", "none"]).splitlines()[2:] == [
        f"| {name} | {setting} | {cells}"
        for name, setting in (("residual", "rank 16"), ("none", "rank 16"), ("none", "rank 64"))
    ]


STOPPED = """
import signal, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may ignore it
sys.path[:0] = [{root!r}, {root!r} + "/examples/study", {root!r} + "/examples/quickstart"]
from rich.console import Console
from tests.examples.test_study import training
from trainings import run_trainings
program = "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(600)"
run_trainings([training(Path({folder!r}), name, program) for name in "abc"], 2, Console())
"""


def test_ctrl_c_ends_every_training(tmp_path: Path) -> None:
    program = STOPPED.format(root=str(ROOT), folder=str(tmp_path))
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE)
    pids = [tmp_path / name / "pid" for name in "ab"]
    while not all(pid.exists() and pid.read_text() for pid in pids):
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert b"KeyboardInterrupt" in process.communicate()[1]
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid.read_text()), 0)
    assert not (tmp_path / "c").exists()


def test_areas_are_those_of_the_weights_at_the_verifiers_tokens(tmp_path: Path) -> None:
    """Responses whose first wrong character is known, weighed another way and compared pair by pair."""
    model_folder = small_model_in(tmp_path / "model")
    tokenizer = load_tokenizer(str(model_folder))
    problem = generate_problems(1, 1, seed=0)[1][0]
    write_parquet([problem], "test", tmp_path / "test.parquet")
    right = right_answer(problem)
    wrong = right[:-1] + ("1" if right[-1] != "1" else "2")  # only the last digit of the last result
    first_wrong = {wrong: len(wrong) - 1, "=8*96,": 0, "*1,2+3=7:": 0}
    texts = [*first_wrong, right, right]
    responses = {0: [(text, text == right) for text in texts]}
    evaluation = write_finished(tmp_path / "evaluation", model_folder, tmp_path / "test.parquet", responses)
    settings = study(tmp_path).settings.common()
    areas = measure(evaluation, settings.rank)

    ids = [[*tokenizer(text)["input_ids"], tokenizer.eos_token_id] for text in texts]
    prompt = read_problems([tmp_path / "test.parquet"], tokenizer, 16)[0].prompt_ids
    model = load_model(str(model_folder))
    states = response_states(model, prompt, ids, top_tokens=model.config.vocab_size)
    hidden = states.hidden["last", "predicting"]
    sequence = torch.repeat_interleave(torch.arange(len(ids)), torch.tensor([len(one) for one in ids]))
    correct = torch.tensor([text == right for text in texts])
    group = (sequence, torch.zeros(len(ids), dtype=torch.int64), correct)
    weights = token_weights(hidden, *group, ResRLConfig(rank=16)).weights
    assert states.predictions is not None
    whole = dense(states.predictions, Group(prompt, ids, correct)).float()
    by_interference = ResRLConfig(weighting="interference")
    interference = token_weights(hidden, *group, by_interference, interference=whole).weights
    positions = [list(range(len(one))) for one in ids]
    by_hand = {
        "position": positions,
        "residual, predicting": [weights[sequence == row].tolist() for row in range(len(ids))],
        "interference": [interference[sequence == row].tolist() for row in range(len(ids))],
    }
    for name, scores in by_hand.items():
        marked = [
            (scores[row][at], at == index) for row, index in enumerate(first_wrong.values()) for at in positions[row]
        ]
        first, others = ([score for score, is_first in marked if is_first == wanted] for wanted in (True, False))
        wins = [(a > b) + 0.5 * (a == b) for a in first for b in others]
        assert areas[name]["first_auc"] == pytest.approx(sum(wins) / len(wins))
        assert areas[name]["num_responses"] == 3
    found = [areas[name]["first_auc"] for name in ("residual, predicting", "interference", "shuffled")]
    assert len({0.5, *found}) == 4
    nothing = write_finished(tmp_path / "nothing", model_folder, tmp_path / "test.parquet", {0: [(right, True)]})
    with pytest.raises(ValueError, match="no problem has both right and wrong responses"):
        measure(nothing, settings.rank)


def test_places_that_cannot_be_measured_are_told_and_the_reports_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("localisation: nothing there")

    made: list[str] = []
    monkeypatch.setattr("common.prepare", lambda *_: places(tmp_path))
    monkeypatch.setattr("trainings.run_trainings", lambda *_: ["a training"])
    monkeypatch.setattr("localise.measure", refuse)
    monkeypatch.setattr(Study, "_report", lambda _, report, done: made.append(report.name))
    assert study(tmp_path).run() == ["a training", "localisation: nothing there"]
    assert made == [report.name for report in REPORTS if report.suite == "methods"]


def test_a_report_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(QuickstartError, match="report-methods: none of its trainings is finished"):
        study(tmp_path)._report(REPORTS[0], set())


def test_places_are_looked_for_under_the_seed_of_the_suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Path] = []
    monkeypatch.setattr("localise.measure", lambda evaluation, _: looked.append(evaluation) or {})
    monkeypatch.setattr("tables.localisation_table", lambda found: " ".join(found))
    one, runs = study(tmp_path, SIZE="135m", SUITES="pretrained-first", STEPS="7"), tmp_path / "runs"
    done = {runs / "grpo-lr-x1-seed100", runs / "resrl-lambda_pos-1-lr-x1-seed100", runs / "grpo-lr-x1-seed0"}
    one._localise(places(tmp_path), done)
    of_resrl = runs / "resrl-lambda_pos-1-lr-x1-seed100"
    wanted = [runs / "grpo-lr-x1-seed100" / "evaluations" / "step_7", of_resrl / "evaluations" / "step_7"]
    assert looked == [tmp_path / "step_0", *wanted]
    assert (tmp_path / "localisation.md").read_text() == "start grpo lr x1 resrl lambda_pos 1 lr x1"


def test_a_first_wrong_character_of_several_tokens_has_its_place() -> None:
    """Each byte of it is a token."""
    tokenizer = byte_tokenizer()
    sample = Sample(0, 0, "", "", "\u20ac 5 + 3 = 9", 0.0, False, None, 0, True)
    ids = response_ids(sample, tokenizer)
    problem = Problem("", [], {"data_source": word_problems.DATA_SOURCE, "reward_model": {"ground_truth": "5+3"}})
    assert tokenizer.decode(ids[:-1]) == sample.response
    assert tokenizer.decode(ids[_first_wrong(sample, ids, tokenizer, problem)]) == "9"


def right_answer(problem) -> str:  # type: ignore[no-untyped-def]
    import random

    from verl_resrl.tasks.countdown_solver import sample_solution

    return sample_solution(problem, random.Random(0)).text
