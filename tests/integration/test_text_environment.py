# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Text environments: actions, TextWorld games made here, the agent loop on them, and the adapters of other games."""

import asyncio
import json
import random
import re
import subprocess
import sys
import threading
import types
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import DictConfig
from transformers import PreTrainedTokenizerFast
from verl import DataProto
from verl.experimental.agent_loop import AgentLoopWorker

from tests.integration.agent_loops import END, ScriptedServer, byte_tokenizer, in_turn, make_config, play, spoken
from tests.integration.engines import save_model
from verl_resrl.integration.agent_loops.text_environment import TextEnvironmentConfig, TextEnvironmentLoop
from verl_resrl.tasks import alfworld, textworld, textworld_data, webshop
from verl_resrl.tasks.text_environment import (
    MAX_ACTION_CHARACTERS,
    Observation,
    make_environment,
    read_action,
    render,
)
from verl_resrl.tasks.textworld_data import GameSettings

SETTINGS = GameSettings(rooms=2, objects=3, quest_length=3)
ACTIONS = ("look", "open door", "go north")


@pytest.fixture(scope="module")
def games(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two games to train on and one to evaluate on."""
    pytest.importorskip("textworld", reason="needs textworld")
    folder = tmp_path_factory.mktemp("textworld")
    textworld_data.prepare(folder, train=2, test=1, settings=SETTINGS)
    return folder


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return byte_tokenizer()


@pytest.fixture(scope="module")
def config() -> DictConfig:
    return make_config("+agent=textworld", "data.max_prompt_length=5000", "data.max_response_length=50000")


def rows_of(folder: Path, split: str) -> list[dict[str, Any]]:
    return pq.read_table(folder / f"{split}.parquet").to_pylist()


def listed(shown: str) -> list[str]:
    """Actions in the last list of a conversation."""
    return re.findall(r"^\d+\. (.*?)(?:<\|im_end\|>)?$", shown.rsplit("Possible actions:", 1)[1], re.MULTILINE)


# -- actions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "action"),
    [
        ("open door", "open door"),
        ("2", "open door"),
        ("The door, I think. <action>2</action>", "open door"),
        ("<action>look</action> no, rather <action> go\n north </action>", "go north"),
        ("<action>4</action>", "4"),
        ("<action>0</action>", "0"),
        ("", ""),
        ("<action></action>", ""),
        ("²", "²"),
    ],
)
def test_action_is_found_in_words(said: str, action: str) -> None:
    assert read_action(said, ACTIONS) == action


@given(st.text())
def test_any_words_give_one_short_line(said: str) -> None:
    action = read_action(said, ACTIONS)
    assert len(action) <= MAX_ACTION_CHARACTERS
    assert len(action.splitlines()) <= 1


def test_observation_lists_its_actions() -> None:
    shown = render(Observation("A hall.", ACTIONS))
    assert shown == "A hall.\n\nPossible actions:\n1. look\n2. open door\n3. go north"
    assert [read_action(str(n), ACTIONS) for n in (1, 2, 3)] == listed(shown) == list(ACTIONS)


def test_unknown_environment_is_named() -> None:
    with pytest.raises(ValueError, match="no text environment 'chess'"):
        make_environment("chess", {})
    with pytest.raises(ValueError, match="environment='chess'"):
        TextEnvironmentConfig(environment="chess")
    with pytest.raises(ValueError, match="max_steps=0"):
        TextEnvironmentConfig(max_steps=0)


@pytest.mark.parametrize(
    ("name", "package", "says"),
    [
        ("textworld", "textworld", "pip install textworld"),
        ("alfworld", "alfworld", "pip install alfworld && alfworld-download"),
        ("webshop", "web_agent_site", "github.com/princeton-nlp/WebShop"),
    ],
)
def test_missing_package_is_named(name: str, package: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=re.escape(says)):
        make_environment(name, {})


# -- TextWorld -------------------------------------------------------------------------------------------------------


def test_games_are_made_once_and_never_shared(games: Path) -> None:
    made = {file: file.stat().st_mtime_ns for file in (games / "games").glob("*.z8")}
    textworld_data.prepare(games, train=2, test=1, settings=SETTINGS)
    assert made == {file: file.stat().st_mtime_ns for file in (games / "games").glob("*.z8")}
    train, test = ({json.loads(r["extra_info"]["task"])["game"] for r in rows_of(games, s)} for s in ("train", "test"))
    assert (len(train), len(test)) == (2, 1)
    assert not train & test
    with pytest.raises(ValueError, match="games of other settings"):
        textworld_data.prepare(games, train=2, test=1, settings=GameSettings(rooms=1))
    with pytest.raises(ValueError, match="rooms=0"):
        GameSettings(rooms=0)


def test_nonsense_does_not_reach_the_interpreter(games: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    env = textworld.TextWorld()
    task, walkthrough = (
        json.loads(text)
        for text in (
            rows_of(games, "train")[0]["extra_info"]["task"],
            rows_of(games, "train")[0]["reward_model"]["ground_truth"],
        )
    )
    first = env.reset(task)
    for action in ("", "save", "script", "restore", "quit", "restart", "\0", "漢字", "x" * 10_000, "look. look"):
        observation = env.step(action)
        assert observation.text == f"You cannot do that: {action}"
        assert (observation.actions, observation.done, observation.won) == (first.actions, False, False)
    assert [env.step(action).won for action in walkthrough][-1]
    env.close()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError, match=r"no game .*nowhere.z8"):
        env.reset({"game": "nowhere.z8"})


def test_expert_wins_and_random_player_mostly_does_not(
    games: Path, config: DictConfig, tokenizer: PreTrainedTokenizerFast
) -> None:
    rng = random.Random(0)
    won = []
    for row in rows_of(games, "train") + rows_of(games, "test"):
        walkthrough = json.loads(row["reward_model"]["ground_truth"])
        expert = [f"Next. <action>{action}</action>" for action in walkthrough]
        output, _ = play(TextEnvironmentLoop, config, tokenizer, row, in_turn(expert))
        assert output.reward_score == 1
        steps = float(len(expert))
        assert output.extra_fields["reward_extra_info"] == {"acc": 1, "episode_reward": 1, "episode_steps": steps}
        for _ in range(4):
            short = config.copy()
            short.actor_rollout_ref.rollout.agent.max_steps = len(expert) + 1
            output, _ = play(
                TextEnvironmentLoop, short, tokenizer, row, lambda shown: str(rng.randint(1, len(listed(shown))))
            )
            won.append(output.reward_score)
    assert sum(won) / len(won) < 0.5


def test_only_the_models_tokens_count(games: Path, config: DictConfig, tokenizer: PreTrainedTokenizerFast) -> None:
    row = rows_of(games, "train")[0]
    said = ["look", "<action>dance</action>", *json.loads(row["reward_model"]["ground_truth"])]
    output, server = play(TextEnvironmentLoop, config, tokenizer, row, in_turn(said))
    model, others = spoken(output, tokenizer)
    assert model == [text + END for text in said]
    assert "You cannot do that: dance" in others[1]
    assert output.response_mask[-1] == 1  # what the last action led to is nobody's input
    prompt = tokenizer.decode(output.prompt_ids)
    assert server.asked[0] == prompt
    assert row["prompt"][0]["content"] in prompt
    assert "Possible actions:\n1. " in prompt
    assert server.asked[-1] + said[-1] + END == tokenizer.decode(output.prompt_ids + output.response_ids)
    assert output.num_turns == 2 * len(said)
    assert (output.extra_fields["min_global_steps"], output.extra_fields["max_global_steps"]) == (1, len(said))


def test_episode_ends_at_its_limits(games: Path, config: DictConfig, tokenizer: PreTrainedTokenizerFast) -> None:
    row = rows_of(games, "train")[0]
    limited = config.copy()
    limited.actor_rollout_ref.rollout.agent.max_steps = 2
    output, _ = play(TextEnvironmentLoop, limited, tokenizer, row, in_turn(["look"] * 9))
    assert output.extra_fields["reward_extra_info"] == {"acc": 0, "episode_reward": 0, "episode_steps": 2}

    limited.actor_rollout_ref.rollout.agent.max_tokens_per_turn = 3
    output, server = play(TextEnvironmentLoop, limited, tokenizer, row, in_turn(["look"] * 9))
    assert server.limits == [3, 3]
    model, others = spoken(output, tokenizer)
    assert model == ["loo", "loo"]
    assert others[0].startswith(f"{END}\n<|im_start|>user\n")  # as the template has it after every turn
    assert output.response_logprobs is not None
    assert len(output.response_logprobs) == len(output.response_mask) == len(output.response_ids)

    limited.actor_rollout_ref.rollout.agent.max_steps = 9
    limited.actor_rollout_ref.rollout.response_length = 20
    output, _ = play(TextEnvironmentLoop, limited, tokenizer, row, in_turn(["look"] * 9))
    assert output.response_mask == [1, 1, 1]  # the answer to it would not fit

    with pytest.raises(ValueError, match=r"a row of 'textworld' has no task"):
        play(TextEnvironmentLoop, limited, tokenizer, row | {"extra_info": {}}, in_turn(["look"]))


HANGS = """
import asyncio, time
from verl_resrl.integration.agent_loops import text_environment
text_environment.TIME_LIMIT = 0.5

def step():
    time.sleep(600)

assert asyncio.run(text_environment._in_thread(lambda: 7)) == 7
asyncio.run(text_environment._in_thread(step))
"""


def test_an_environment_that_hangs_ends_its_worker_and_is_named() -> None:
    done = subprocess.run([sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "Timeout (0:00:00.500000)!" in done.stderr
    assert re.search(r'File "<string>", line \d+ in step', done.stderr)


# -- adapters: on stand-ins for the packages' own interfaces, as published --------------------------------------------


class StandInGame:
    """textworld's interface of a started game."""

    def __init__(self) -> None:
        self.typed: list[str] = []
        self.closed = False

    def reset(self) -> dict[str, Any]:
        return {"feedback": "You are in a kitchen.\n", "admissible_commands": ["go to fridge 1", "look"], "won": False}

    def step(self, command: str) -> tuple[dict[str, Any], int, bool]:
        self.typed.append(command)
        won = command == "go to fridge 1"
        text = "You won!" if won else "Nothing happens."
        return {"feedback": text, "admissible_commands": ["look"], "won": won}, int(won), won

    def close(self) -> None:
        self.closed = True


def test_alfworld_adapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []
    game = StandInGame()

    def start(path: str, infos: dict[str, bool], wrappers: list[Any]) -> StandInGame:
        started.append((path, infos, wrappers))
        return game

    environment = types.ModuleType("alfworld.agents.environment.alfred_tw_env")
    environment.AlfredDemangler = lambda shuffle: ("demangler", shuffle)  # type: ignore[attr-defined]
    core = types.ModuleType("textworld")
    core.EnvInfos, core.start = dict, start  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "textworld", core)
    for name in ("alfworld", "alfworld.agents", "alfworld.agents.environment"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, environment.__name__, environment)

    folder = tmp_path / "alfworld" / "json_2.1.1"
    for split, name in (("train", "a"), ("train", "movable_b"), ("valid_seen", "c"), ("valid_unseen", "d")):
        (folder / split / name).mkdir(parents=True)
        (folder / split / name / "game.tw-pddl").write_text(json.dumps({"solvable": True}))
    (folder / "train" / "e").mkdir()
    (folder / "train" / "e" / "game.tw-pddl").write_text(json.dumps({"solvable": False}))
    files = alfworld.prepare(tmp_path / "out", tmp_path / "alfworld")
    assert {split: len(pq.read_table(file)) for split, file in files.items()} == {
        "train": 1,
        "test_seen": 1,
        "test_unseen": 1,
    }
    task = json.loads(rows_of(tmp_path / "out", "train")[0]["extra_info"]["task"])

    env = make_environment("alfworld", {})
    assert env.reset(task) == Observation("You are in a kitchen.", ("go to fridge 1", "look"))
    assert started == [(task["game"], {"won": True, "admissible_commands": True}, [("demangler", False)])]
    assert env.step("fly") == Observation("Nothing happens.", ("look",))
    assert env.step("go to fridge 1") == Observation("You won!", ("look",), reward=1, done=True, won=True)
    env.close()
    assert game.closed
    with pytest.raises(FileNotFoundError, match=r"json_2.1.1/train: ALFWorld needs"):
        alfworld.prepare(tmp_path / "out", tmp_path / "nothing")


class StandInShop:
    """WebShop's interface, of its class WebAgentTextEnv."""

    made: list[dict[str, Any]] = []  # noqa: RUF012

    def __init__(self, **options: Any) -> None:
        self.made.append(options)
        # the server draws prices and bounds when it is made
        self.server = options.get("server") or types.SimpleNamespace(goals=[random.random() for _ in range(1502)])

    def reset(self, session: int) -> tuple[str, None]:
        return f"Instruction: [SEP] goal {session} [SEP] Search", None

    def get_available_actions(self) -> dict[str, Any]:
        return {"has_search_bar": True, "clickables": ["search", "buy now"]}

    def step(self, action: str) -> tuple[str, float, bool, None]:
        if action == "search[":
            raise ValueError("not enough values to unpack")
        bought = {"click[buy now]": 1.0, "click[other]": 0.5}
        return "page", bought.get(action, 0.0), action in bought, None


def test_webshop_adapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("web_agent_site.envs.web_agent_text_env")
    module.WebAgentTextEnv = StandInShop  # type: ignore[attr-defined]
    for name in ("web_agent_site", "web_agent_site.envs"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(StandInShop, "made", [])
    webshop._shared_server.cache_clear()

    webshop.prepare(tmp_path, goals=1502)
    assert [json.loads(r["extra_info"]["task"])["goal"] for r in rows_of(tmp_path, "train")] == [1500, 1501]
    assert [json.loads(r["extra_info"]["task"])["goal"] for r in rows_of(tmp_path, "test")] == list(range(500))
    with pytest.raises(ValueError, match="goals=1500"):
        webshop.prepare(tmp_path, goals=1500)

    env, other = (
        make_environment("webshop", {"num_products": 1000}),
        make_environment("webshop", {"num_products": 1000}),
    )
    shared, first, second = StandInShop.made
    assert shared == {"observation_mode": "text", "num_products": 1000, "human_goals": True}
    assert first["server"] is second["server"]
    assert first["session_prefix"] != second["session_prefix"]
    assert env.reset({"goal": 7}) == Observation("Instruction: [SEP] goal 7 [SEP] Search", ("click[buy now]",))
    with pytest.raises(ValueError, match=r"goal 1502 of the data, and 1502 goals are loaded: .*--goals 1502"):
        env.reset({"goal": 1502})
    drawn = first["server"].goals
    webshop._shared_server.cache_clear()
    random.seed(5)
    expected = random.Random(5).random()
    make_environment("webshop", {"num_products": 1000})
    assert StandInShop.made[-1]["server"].goals == drawn  # in every process and run
    assert random.random() == expected  # of whoever else draws
    assert env.step("search[") == Observation("That did not work (ValueError).", ("click[buy now]",))
    assert env.step("search[red shoes]") == Observation("page", ("click[buy now]",))
    assert env.step("click[other]") == Observation("page", reward=0.5, done=True)
    assert other.step("click[buy now]") == Observation("page", reward=1.0, done=True, won=True)
    webshop._shared_server.cache_clear()


# -- verl's worker ---------------------------------------------------------------------------------------------------


def test_the_config_group_is_all_that_verls_worker_needs(
    games: Path, tokenizer: PreTrainedTokenizerFast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = set()
    step = textworld.TextWorld.step

    def spy(self: textworld.TextWorld, action: str) -> Observation:
        threads.add(threading.get_ident())
        return step(self, action)

    monkeypatch.setattr(textworld.TextWorld, "step", spy)
    save_model("Llama", tmp_path, vocab_size=300)
    tokenizer.save_pretrained(tmp_path)
    config = make_config(
        "+agent=textworld",
        "data.max_prompt_length=5000",
        "data.max_response_length=5000",
        f"actor_rollout_ref.model.path={tmp_path}",
        "actor_rollout_ref.rollout.name=vllm",
        "actor_rollout_ref.rollout.agent.max_steps=2",
    )
    batch = DataProto.from_single_dict(
        {
            name: np.array([row[name] for row in rows_of(games, "train")], dtype=object)
            for name in ("prompt", "reward_model", "extra_info", "data_source")
        }
    )
    batch.non_tensor_batch["raw_prompt"] = batch.non_tensor_batch.pop("prompt")
    batch = batch.repeat(8)  # episodes at the same time
    worker = AgentLoopWorker(config, ScriptedServer(tokenizer, lambda _: "<action>look</action>"))
    out = asyncio.run(worker.generate_sequences(batch))
    said = tokenizer.encode("<action>look</action>" + END, add_special_tokens=False)
    assert len(threads) == 1  # TextWorld's parser does not survive two
    assert out.batch["response_mask"].sum(1).tolist() == [2 * len(said)] * 16
    assert out.batch["rm_scores"].sum(1).tolist() == [0] * 16
    assert out.non_tensor_batch["episode_steps"].tolist() == [2] * 16
