# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Run folders are read as training and evaluation leave them; what is broken is named."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.report.report_runs import write_evaluation, write_run, write_tokens
from verl_resrl.report.differing_settings import differing_settings
from verl_resrl.report.run_folders import read_run, read_runs
from verl_resrl.report.samples import problem_counts
from verl_resrl.report.tables import common_ks, evaluation_table, pass_table, problem_table
from verl_resrl.report.token_weights_file import token_views
from verl_resrl.runs.files import RunError


def ignore_progress(done: int, total: int, what: str) -> None:
    pass


def test_a_later_attempt_counts_and_half_a_line_does_not(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", "resrl", 3, {1: {"actor/entropy": 1.0}, 2: {"actor/entropy": 2.0}})
    with (run / "metrics" / "0000.jsonl").open("a") as file:
        file.write('{"step": 3, "data": {"actor/entr')
    (run / "metrics" / "0001.jsonl").write_text('{"step": 2, "data": {"actor/resrl/coverage": 0.5}}\n')
    read = read_run(run)
    assert (read.method, read.seed) == ("resrl", 3)
    assert read.metrics == {1: {"actor/entropy": 1.0}, 2: {"resrl/coverage": 0.5}}


def test_the_estimator_names_a_method_without_an_experiment_name(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", "gsm8k", 0)
    config = run / "hydra" / ".hydra" / "config.yaml"
    config.write_text(config.read_text().replace("adv_estimator: gsm8k", "adv_estimator: nsr"))
    assert read_run(run).method == "nsr"


def test_what_is_missing_is_noted(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", "grpo", 0)
    notes = " ".join(read_run(run).notes)
    assert "no training metrics" in notes
    assert "no evaluations" in notes
    write_evaluation(run, 10, [1, 2], 4, [1, 2])
    (run / "evaluations" / "step_20").mkdir()
    read = read_run(run)
    assert [evaluation.step for evaluation in read.evaluations] == [10]
    assert len(read.notes) == 4  # metrics, unfinished step 20, no start, a single point
    assert "step 20 has no summary.json" in " ".join(read.notes)


def test_counts_of_samples(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", "grpo", 0)
    write_evaluation(run, 10, [1, 4], 4, [1, 2])
    counts = problem_counts(read_run(run).evaluations[0])
    assert counts["num_correct"].tolist() == [1, 4]
    assert counts["num_samples"].tolist() == [4, 4]
    assert counts["mean_length"].tolist() == [11.5, 12.5]


def test_counts_are_kept_until_the_samples_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = write_run(tmp_path / "run", "grpo", 0)
    file = write_evaluation(run, 0, [1, 2], 4, [1], ("a", "b")) / "samples.jsonl"
    evaluation = read_run(run).evaluations[0]
    first = problem_counts(evaluation)
    with monkeypatch.context() as patched:
        patched.setattr("verl_resrl.report.samples._samples", None)  # cannot be read again
        assert problem_counts(evaluation).equals(first)
    (file.with_name("counts.npz")).write_bytes(b"PK broken")
    assert problem_counts(evaluation).equals(first)
    with file.open("a") as more:
        more.write(file.read_text().splitlines()[0] + "\n")
    with pytest.raises(RunError, match="problem 0 has sample 0 twice"):
        problem_counts(evaluation)


def read_all(run: Path) -> None:
    runs = [read_run(run)]
    problem_table(runs, ignore_progress)
    token_views(runs)


def edit(name: str, change: Callable[[str], str]) -> Callable[[Path], None]:
    def break_it(run: Path) -> None:
        file = run / name
        file.write_text(change(file.read_text()))

    return break_it


def without_low(text: str) -> str:
    summary = json.loads(text)
    del summary["overall"]["avg_at_n"]["low"]
    return json.dumps(summary)


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (edit("hydra/.hydra/config.yaml", lambda text: text + "\n  - ["), "config.yaml is not a configuration"),
        (edit("hydra/.hydra/config.yaml", lambda text: text.replace("seed: 0", "seed: x")), "data.seed='x'"),
        (edit("metrics/0000.jsonl", lambda text: "half\n" + text), "0000.jsonl line 1"),
        (edit("metrics/0000.jsonl", lambda text: '{"step": 1}'), "0000.jsonl line 1"),
        (edit("evaluations/step_10/summary.json", lambda text: text[:-5]), "summary.json is not JSON"),
        (edit("evaluations/step_10/summary.json", without_low), "overall.avg_at_n has no mean, low and high"),
        (edit("evaluations/step_10/summary.json", lambda text: text.replace('"1":', '"one":')), "pass_at_k['one']"),
        (edit("evaluations/step_10/settings.json", lambda text: "[]"), "settings.json is not a JSON object"),
        (edit("evaluations/step_10/samples.jsonl", lambda text: text[:-5]), "samples.jsonl line 8"),
        (edit("evaluations/step_10/samples.jsonl", lambda text: ""), "samples.jsonl is empty"),
        (edit("evaluations/step_10/samples.jsonl", lambda text: text + text), "has sample 0 twice"),
        (
            edit("evaluations/step_10/samples.jsonl", lambda text: text.replace("true", "false")),
            "Avg@n of the samples is 0.000000, but summary.json says 0.375000",
        ),
        (
            edit("evaluations/step_10/samples.jsonl", lambda text: text.replace("problem 1", "other", 1)),
            "one problem number stands for several prompts",
        ),
        (edit("evaluations/step_10/tokens.jsonl", lambda text: text.replace("0.25", "1.25")), "weight outside [0, 1]"),
        (
            edit("evaluations/step_10/tokens.jsonl", lambda text: text.replace('"b"', '"b", "c"')),
            "3 tokens, 2 weights as trained",
        ),
    ],
)
def test_broken_files_are_named_in_one_line(tmp_path: Path, break_it: Callable[[Path], None], words: str) -> None:
    run = write_run(tmp_path / "run", "grpo", 0, {1: {"actor/entropy": 1.0}})
    evaluation = write_evaluation(run, 10, [1, 2], 4, [1, 2])
    write_tokens(evaluation, [("p", ["a", "b"], [0.25, 1.0], "right")])
    break_it(run)
    with pytest.raises(RunError) as error:
        read_all(run)
    assert words in str(error.value)
    assert str(run) in str(error.value)
    assert "\n" not in str(error.value)


def test_folders_that_cannot_be_compared(tmp_path: Path) -> None:
    first, second = (write_run(tmp_path / name, "grpo", 0) for name in ("a", "b"))
    with pytest.raises(RunError, match=r"are both grpo seed 0: .*trainer.experiment_name"):
        read_runs([first, second])
    with pytest.raises(RunError, match=r"is not a run folder.*give the folders inside it \(a, b, ...\)"):
        read_runs([tmp_path])


def test_evaluations_of_different_problems_are_refused(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / name, name, 0) for name in ("grpo", "nsr")]
    for folder in folders:
        write_evaluation(folder, 10, [1, 2], 4, [1, 2])
    edit("evaluations/step_10/samples.jsonl", lambda text: text.replace("problem 1", "other"))(folders[1])
    with pytest.raises(RunError, match=r"problem 1 has one prompt in .*grpo.* and another in .*nsr"):
        problem_table(read_runs(folders), ignore_progress)


def test_only_the_k_that_all_have(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / name, name, 0) for name in ("grpo", "nsr", "psr")]
    for folder, ks in zip(folders[:2], ([1, 2], [2, 4]), strict=True):
        write_evaluation(folder, 10, [1, 2], 4, ks)
    assert common_ks(pass_table(read_runs(folders[:2]))) == ([2], [1, 4])
    write_evaluation(folders[2], 10, [1, 2], 4, [3])
    with pytest.raises(RunError, match="no k in common"):
        common_ks(pass_table(read_runs(folders)))


def test_data_sources_have_rows_of_their_own(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", "grpo", 0)
    write_evaluation(run, 0, [1, 2, 3, 4], 4, [1], ("easy", "hard"))
    averages = evaluation_table([read_run(run)]).set_index("source")["avg"]
    assert averages.to_dict() == {"overall": 0.625, "easy": 0.5, "hard": 0.75}


def test_settings_that_differ(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / f"grpo{seed}", "grpo", seed, rank=8) for seed in (0, 1)]
    folders += [write_run(tmp_path / f"nsr{seed}", "nsr", seed, rank=8 * seed) for seed in (0, 1)]
    write_evaluation(folders[0], 10, [1], 4, [1])
    edit("evaluations/step_10/settings.json", lambda text: text.replace("1.0", "0.5"))(folders[0])
    write_evaluation(folders[0], 20, [1], 4, [1])
    rows, of_seed = differing_settings(read_runs(folders))
    values = {row["setting"]: row["values"] for row in rows}
    assert values == {
        "algorithm.adv_estimator": {"grpo": "grpo", "nsr": "nsr"},
        "resrl.rank": {"grpo": "8", "nsr": "0, 8"},
        "evaluation: temperature": {"grpo": "0.5 | 1.0, (absent)", "nsr": "(absent)"},
    }
    assert of_seed == ["actor_rollout_ref.rollout.seed", "data.seed"]


def test_settings_of_older_evaluations_had_their_defaults(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / method, method, 0) for method in ("grpo", "nsr")]
    for folder, more in zip(folders, ({"averaged": None, "top_p": 0.9}, {}), strict=True):
        settings = {"model": str(folder), "n": 4, "resrl": {"rank": 4} if more else None} | more
        (write_evaluation(folder, 10, [1], 4, [1]) / "settings.json").write_text(json.dumps(settings))
    rows, _ = differing_settings(read_runs(folders))
    found = [row for row in rows if row["setting"].startswith("evaluation")]
    assert found == [{"setting": "evaluation: top_p", "values": {"grpo": "0.9", "nsr": "1.0"}}]


def test_a_setting_of_the_method_is_not_the_seeds(tmp_path: Path) -> None:
    """Where methods had different seeds, nothing can be said to follow the seed alone."""
    folders = [write_run(tmp_path / "a", "grpo", 0, rank=8), write_run(tmp_path / "b", "nsr", 1, rank=16)]
    rows, of_seed = differing_settings(read_runs(folders))
    assert {"setting": "resrl.rank", "values": {"grpo": "8", "nsr": "16"}} in rows
    assert of_seed == []


def test_text_may_hold_any_character(tmp_path: Path) -> None:
    """U+2028 and its like end lines for str.splitlines(), not in JSON lines."""
    run = write_run(tmp_path / "run", "grpo", 0)
    evaluation = write_evaluation(run, 10, [1, 2], 4, [1, 2])
    write_tokens(evaluation, [("line\u2028 and\x85 page\x0c", ["a\u2029"], [1.0], "r")], of_training=False)
    file = evaluation / "tokens.jsonl"
    file.write_text(json.dumps(json.loads(file.read_text()), ensure_ascii=False) + "\n")
    ((view,), notes) = token_views([read_run(run)])
    assert view["problems"][0]["weighed"].startswith("This training weighs no tokens by ResRL; shown is what")
    negative = view["problems"][0]["negative"]
    assert (negative["weights"], negative["interferences"]) == ({"as trained": [1.0]}, [None])
    assert view["problems"][0]["prompt"] == "line\u2028 and\x85 page\x0c"
    assert notes == []
