# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""BFCL multi-turn: split, guard of the calls, and the agent loop on the benchmark's own tasks and checker."""

import ast
import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import DictConfig
from transformers import PreTrainedTokenizerFast

from tests.integration.agent_loops import END, byte_tokenizer, in_turn, make_config, play, spoken
from tests.integration.bfcl_scripts import script, tool_call, without_a_turn
from verl_resrl.tasks import bfcl_data
from verl_resrl.tasks.bfcl import CATEGORIES, REFUSAL, REFUSED_CALL, Task, check_call, execute, score, write_call
from verl_resrl.tasks.bfcl_accuracy import read_validations

pytest.importorskip("bfcl_eval", reason="needs bfcl-eval")
pytest.importorskip("pebble", reason="needs pebble")

from bfcl_eval.eval_checker.multi_turn_eval import multi_turn_utils

from verl_resrl.integration.agent_loops.bfcl import BFCLAgentLoop, BFCLConfig
from verl_resrl.tasks.bfcl_simulator import LimitExceeded, Simulator

SAMPLE = (3, 101, 150)  # task numbers that are played in each category: files, vehicles, trips


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    files = bfcl_data.prepare(tmp_path_factory.mktemp("bfcl"))
    return {split: pq.read_table(file).to_pylist() for split, file in files.items()}


@pytest.fixture(scope="module")
def tasks(rows: dict[str, list[dict[str, Any]]]) -> dict[str, tuple[dict[str, Any], dict[str, Any], list[list[str]]]]:
    """Row, entry and ground truth by id."""
    found = {}
    for row in (*rows["train"], *rows["test"]):
        entry = json.loads(row["extra_info"]["task"])
        found[entry["id"]] = (row, entry, json.loads(row["reward_model"]["ground_truth"]))
    return found


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return byte_tokenizer()


@pytest.fixture(scope="module")
def config() -> DictConfig:
    """Lengths for one token per byte."""
    return make_config(
        "+agent=bfcl",
        "data.max_prompt_length=100000",
        "data.max_response_length=1000000",
        "actor_rollout_ref.rollout.agent.max_tokens_per_turn=10000",
    )


# -- data ------------------------------------------------------------------------------------------------------------


def test_split_covers_the_benchmark_and_leaks_nothing(rows: dict[str, list[dict[str, Any]]]) -> None:
    assert len(rows["train"]) + len(rows["test"]) == 800
    assert 200 <= len(rows["test"]) <= 208
    seen: dict[str, dict[str, set[str]]] = {}
    for split, members in rows.items():
        entries = [json.loads(row["extra_info"]["task"]) for row in members]
        seen[split] = {
            "number": {entry["id"].rsplit("_", 1)[1] for entry in entries},
            "state": {json.dumps(entry["initial_config"], sort_keys=True) for entry in entries},
            "question": {json.dumps(entry["question"][0]) for entry in entries},
        }
        counts = [sum(row["data_source"] == f"bfcl_{category}" for row in members) for category in CATEGORIES]
        assert len(set(counts)) == 1  # then the mean over rows is the official mean over categories
    for kind in ("number", "state", "question"):
        assert not seen["train"][kind] & seen["test"][kind]


def test_split_repeats_under_a_seed() -> None:
    base = [entry for entry, _ in bfcl_data.load_category("multi_turn_base")]
    assert bfcl_data.split_numbers(base, 50, 0) == bfcl_data.split_numbers(base, 50, 0)
    assert bfcl_data.split_numbers(base, 50, 0) != bfcl_data.split_numbers(base, 50, 1)


def test_changed_data_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_bytes", lambda self: b"changed")
    with pytest.raises(ValueError, match=r"BFCL_v4_multi_turn_base.json differs from the published file"):
        bfcl_data.prepare(tmp_path)


def test_loading_leaves_no_folders_beside_the_package() -> None:
    import bfcl_eval

    parent = Path(bfcl_eval.__file__).parents[1]
    assert not [name for name in ("result", "score", ".file_locks") if (parent / name).exists()]


# -- the guard -------------------------------------------------------------------------------------------------------

FUNCTIONS = frozenset({"cd", "post_tweet"})


@pytest.mark.parametrize(
    "call",
    [
        "cd(folder='docs')",
        "cd('docs')",
        "post_tweet(content='(cd(x))', tags=['a', {'b': -1.5}], flag=True, nothing=None)",
    ],
)
def test_calls_with_literals_pass(call: str) -> None:
    assert check_call(call, FUNCTIONS) == call


@pytest.mark.parametrize(
    "call",
    [
        "__import__('os').system('touch escaped')",
        "cd(folder=__import__('os').system('touch escaped'))",
        "cd(folder=open('escaped', 'w'))",
        "cd(cd('docs'))",
        "cd(*['docs'])",
        "cd(**{'folder': 'docs'})",
        "cd.__globals__['x']('docs')",
        "(lambda: cd('docs'))()",
        "[cd('docs') for _ in range(9)]",
        "cd(folder=9**9**9)",
        "cd(folder=f'{open(1)}')",
        "cd(folder='docs') or print()",
        "cd('docs'); print()",
        "ls()",
        "cd",
        "",
        "cd(",
        "cd(folder=" + "[" * 5000 + "]" * 5000 + ")",
        "cd(folder='" + "x" * 1_000_000 + "')",
        "cd(_private=1)",
        "cd(folder='\0')",
        "cd(folder='\ud800')",
    ],
)
def test_anything_else_is_refused(call: str) -> None:
    assert check_call(call, FUNCTIONS) == REFUSED_CALL


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("ls", "{}"),
        ("cd", "not json"),
        ("cd", "[1]"),
        ("cd", '"text"'),
        ("cd", '{"folder": NaN}'),
        ("cd", '{"folder": 1e999}'),
        ("cd", "{\"x=open('escaped','w'),folder\": 1}"),
        ("cd", '{"**": 1}'),
        ("cd", '{"folder": ' + "9" * 5000 + "}"),
        ("cd", "[" * 100_000),
        ("open('escaped','w') and cd", "{}"),
        ("cd(folder=1) or cd", "{}"),
    ],
)
def test_a_models_call_that_makes_no_sense_is_refused(name: str, arguments: str) -> None:
    assert write_call(name, arguments, FUNCTIONS) == REFUSED_CALL


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.sampled_from(["cd", "eval", "cd()", ""]) | st.text(), st.dictionaries(st.text(), VALUES))
def test_whatever_is_called_is_refused_or_harmless(name: str, arguments: dict[str, Any]) -> None:
    call = write_call(name, json.dumps(arguments), FUNCTIONS)
    if call != REFUSED_CALL:
        node = ast.parse(call, mode="eval").body
        assert isinstance(node, ast.Call)
        assert ast.unparse(node.func) == name == "cd"
        assert {argument.arg: ast.literal_eval(argument.value) for argument in node.keywords} == arguments


def test_a_refused_call_does_nothing_and_says_so(
    tasks: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    task = Task.from_entry(tasks["multi_turn_base_3"][1])
    calls = ["__import__('os').system('touch escaped')", "pwd()", "open('escaped', 'w')"]
    results = execute(task, [[calls]])
    assert (results[0], results[2]) == (REFUSAL, REFUSAL)
    assert json.loads(results[1]) == {"current_working_directory": "/alex"}
    assert not score(task, [[calls], [calls]], [["pwd()"], ["cd(folder='projects')"]]).valid
    assert list(tmp_path.iterdir()) == []


def test_runs_do_not_see_each_other(tasks: dict[str, Any]) -> None:
    task = Task.from_entry(tasks["multi_turn_base_3"][1])
    assert execute(task, [[["cd(folder='projects')"]]]) == execute(task, [[["cd(folder='projects')"]]])
    assert "projects" in execute(task, [[["cd(folder='projects')"], ["pwd()"]]])[0]  # but a run sees its own past
    assert not [name for name in vars(multi_turn_utils) if "_instance" in name]  # and nothing is left of it


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    simulator = Simulator(time_limit=2.0)
    yield simulator
    simulator.close()


def test_a_call_that_never_ends_is_stopped(tasks: dict[str, Any], simulator: Simulator) -> None:
    _, entry, _ = next(item for item in tasks.values() if "MathAPI" in item[1]["involved_classes"])
    task = Task.from_entry(entry)
    bomb = [[["power(base=7, exponent=1000000000)"]]]

    async def run() -> list[str]:
        with pytest.raises(LimitExceeded, match=task.id):
            await simulator.execute(task, bomb)
        assert (await simulator.score(task, bomb, [["add(a=1,b=1)"]])).reason == "limit_exceeded"
        return await simulator.execute(task, [[["add(a=1,b=2)"]]])

    assert asyncio.run(run()) == ['{"result": 3}']


# -- the agent loop --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("category", CATEGORIES)
def test_ground_truth_scores_1_and_a_missing_turn_0(
    category: str, tasks: dict[str, Any], config: DictConfig, tokenizer: PreTrainedTokenizerFast
) -> None:
    for number in SAMPLE:
        row, entry, truth = tasks[f"{category}_{number}"]
        right, _ = play(BFCLAgentLoop, config, tokenizer, row, in_turn(script(entry, truth)))
        wrong, _ = play(BFCLAgentLoop, config, tokenizer, row, in_turn(script(entry, without_a_turn(truth))))
        assert (right.reward_score, wrong.reward_score) == (1.0, 0.0)
        assert right.extra_fields["reward_extra_info"] == {"acc": 1.0, "finished": 1.0}


def test_only_the_models_tokens_count(
    tasks: dict[str, Any], config: DictConfig, tokenizer: PreTrainedTokenizerFast
) -> None:
    row, entry, truth = tasks["multi_turn_miss_func_3"]
    said = script(entry, truth)
    output, server = play(BFCLAgentLoop, config, tokenizer, row, in_turn(said))
    model, others = spoken(output, tokenizer)
    assert model == [text + END for text in said]
    assert "test_image1.jpg" in others[1]  # what find() returned
    assert "I have updated some more functions" in others[0]
    held_back = next(iter(entry["missed_function"].values()))[0]["name"]
    assert f"'name': '{held_back}'" in others[0]
    prompt = tokenizer.decode(output.prompt_ids)
    assert f'"name": "{held_back}"' not in prompt
    assert entry["question"][0][0]["content"] in prompt
    assert server.asked[0] == prompt
    assert [value != 0 for value in output.response_logprobs] == [bool(value) for value in output.response_mask]
    assert output.num_turns == len(said) + sum(map(len, truth)) + len(entry["question"])


def test_broken_trajectories_score_0(
    tasks: dict[str, Any], config: DictConfig, tokenizer: PreTrainedTokenizerFast
) -> None:
    row, entry, truth = tasks["multi_turn_base_3"]
    good = script(entry, truth)
    parameters = {doc["name"]: list(doc["parameters"]["properties"]) for doc in entry["function"]}
    scripts = {
        "says nothing": [""] * 2,
        "wrong argument": [text.replace("test_document.txt", "test_image1.jpg") for text in good],
        "malformed": [text.replace('"arguments"', "arguments") for text in good],
        "unknown function": [text.replace('"find"', '"find_it"') for text in good],
        "import": [text.replace('"find"', "\"__import__('os').system\"") for text in good],
        "never stops": [tool_call("pwd()", parameters)] * 100,
    }
    for name, said in scripts.items():
        output, _ = play(BFCLAgentLoop, config, tokenizer, row, in_turn(said + [""] * 9))
        assert output.reward_score == 0, name
    assert output.extra_fields["reward_extra_info"] == {"acc": 0.0, "finished": 0.0}
    assert len(spoken(output, tokenizer)[0]) == 21  # the official limit is 20 steps a turn


def test_a_conversation_that_does_not_fit_ends_with_the_model(
    tasks: dict[str, Any], config: DictConfig, tokenizer: PreTrainedTokenizerFast
) -> None:
    row, entry, truth = tasks["multi_turn_base_3"]
    short = config.copy()
    short.data.max_response_length = short.actor_rollout_ref.rollout.response_length = 200
    output, _ = play(BFCLAgentLoop, short, tokenizer, row, in_turn(script(entry, truth)))
    assert output.reward_score == 0
    assert len(output.response_ids) <= 200
    assert output.response_mask[-1] == 1

    short.actor_rollout_ref.rollout.prompt_length = 100
    with pytest.raises(ValueError, match=r"tokens and data.max_prompt_length is 100: raise it"):
        play(BFCLAgentLoop, short, tokenizer, row, in_turn([]))


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="max_tokens_per_turn=0"):
        BFCLConfig(max_tokens_per_turn=0)


def test_accuracy_is_the_mean_over_categories(tmp_path: Path) -> None:
    (tmp_path / "metrics").mkdir()
    log = tmp_path / "metrics" / "0000.jsonl"
    values = dict(zip(CATEGORIES, (0.5, 0.25, 0.0, 0.25), strict=True))
    data = {f"val-core/bfcl_{name}/acc/mean@1": value for name, value in values.items()}
    log.write_text(json.dumps({"step": 0, "data": data}) + "\n" + json.dumps({"step": 1, "data": {"x": 1.0}}) + "\n")
    assert read_validations(tmp_path) == {0: values | {"multi_turn_overall": 0.25}}
    log.write_text(json.dumps({"step": 1, "data": {"x": 1.0}}) + "\n")
    with pytest.raises(ValueError, match="no validation of all of multi_turn_base"):
        read_validations(tmp_path)
