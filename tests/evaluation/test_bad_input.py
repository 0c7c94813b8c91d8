# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""``resrl eval`` with what can be wrong: options, models, settings, folders, foreign lines, Ctrl-C."""

import errno
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.evaluation.evaluations import REWARD, arguments, call, row, write_rows
from verl_resrl.evaluation import settings as evaluation_settings
from verl_resrl.evaluation.judge import Judge
from verl_resrl.evaluation.run_settings import RunSettings
from verl_resrl.evaluation.samples import open_samples
from verl_resrl.evaluation.settings import EvaluationError, Settings, claim_folder, named_file


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--model", "no/such/model"], "no/such/model does not exist"),
        (["--data", "none.parquet"], "none.parquet does not exist"),
        (["--data", "reward.py"], "reward.py is not a readable parquet file"),
        (["--data", "empty.parquet"], "empty.parquet has no rows"),
        (["--k", "1,8"], "--k 8 is more than the responses to a problem, --n 4"),
        (["--k", "2,1"], "--k 2,1 must be increasing numbers from 1 on"),
        (["--k", "many"], "--k many must be numbers with commas between"),
        (["--n", "0"], "--n 0 must be an integer, 1 or more"),
        (["--top-p", "0"], "--top-p 0.0 must be above 0"),
        (["--temperature", "-1"], "--temperature -1.0 must be a number, 0 or more"),
        (["--reward-file", "none.py"], "none.py does not exist"),
        (["--reward-file", "pkg://gone.rewards"], "--reward-file pkg://gone.rewards names no Python module"),
        (["--reward-file", "broken.py"], "broken.py cannot be imported (NameError: name 'nothing' is not defined)"),
        (["--reward-file", "empty.py"], "empty.py defines no compute_score()"),
        (["--reward-file", "raises.py"], "the reward function failed with KeyError: 'x' (data_source 'even'"),
        (["--reward-file", "exits.py"], "the reward function failed with SystemExit: 3"),
        (["--reward-file", "lines.py"], "the reward function failed with ValueError: one two"),
        (["--reward-file", "promise.py"], "returned a coroutine: declare it with async def"),
        (["--reward-file", "names.py"], "answer_of failed with KeyError: 'boom'"),
        (["--reward-file", "lists.py"], "answer_of must return text or None, it returned [1]"),
        (["--reward-file", "pkg://math"], "pkg://math names no Python module that is installed here"),
        (["--reward-file", "pkg://.a"], "pkg://.a names no Python module that is installed here"),
        (["--reward-file", "."], "is not a file"),
        (["--threshold", "nan"], "--threshold nan must be a number"),
        (["--data", "."], "is a folder: name parquet files"),
        (["--data", "unjudged.parquet"], "row 1 of {here}/unjudged.parquet: reward_model is missing"),
        (["--data", "nameless.parquet"], "row 1 of {here}/nameless.parquet: data_source must be text, it is None"),
        (["--data", "extra.parquet"], "row 0 of {here}/extra.parquet: extra_info must have named fields, it is 'x'"),
        (
            ["--reward-file", "words.py"],
            "a dict with the finite number 'score', it returned 'good'",
        ),
        (["--data", "picture.parquet"], "picture.parquet has images, which the responses would be made without"),
        (["--data", "parts.parquet"], "parts.parquet: content must be text, it is list"),
        (["--max-prompt-tokens", "1", "--data", "long.parquet"], "every prompt is longer than 1 tokens"),
        (["--verl-args", "a=1"], "--verl-args means nothing without a --benchmark of agents"),
        (["--backend", "fast"], "--backend fast must be one of auto, vllm, hf"),
        (["--backend", "vllm"], "--backend vllm needs"),
        (["--dtype", "float8"], "--dtype float8 must be one of auto, float32, bfloat16"),
        (["--steps", "3"], "--steps chooses checkpoints of a --run"),
        (["--run", "."], "either --model MODEL or --run RUN_DIR"),
        (["--chat-template-kwargs", "{"], "--chat-template-kwargs is not JSON"),
        (["--benchmark", "aime99"], "--benchmark aime99 must be one of aime24, aime25"),
    ],
)
def test_bad_input_is_named_in_one_line(
    task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "vllm", None)  # as where it is not installed
    write_rows(tmp_path / "empty.parquet", row(0))
    pq.write_table(pq.read_table(tmp_path / "empty.parquet").slice(0, 0), tmp_path / "empty.parquet")
    write_rows(tmp_path / "long.parquet", row(0) | {"prompt": [{"role": "user", "content": "t3 t4"}]})
    write_rows(tmp_path / "unjudged.parquet", row(0), row(1) | {"reward_model": None})
    write_rows(tmp_path / "nameless.parquet", row(0), row(1) | {"data_source": None})
    write_rows(tmp_path / "extra.parquet", row(0) | {"extra_info": "x"})
    write_rows(tmp_path / "picture.parquet", row(0) | {"images": []}, row(1) | {"images": [{"bytes": b"x"}]})
    parts = [{"role": "user", "content": [{"type": "text", "text": "t3"}]}]
    write_rows(tmp_path / "parts.parquet", row(0) | {"prompt": parts})
    for name, text in {
        "reward.py": REWARD,
        "exits.py": "def compute_score(**kwargs): raise SystemExit(3)",
        "lines.py": "def compute_score(**kwargs): raise ValueError('one\\ntwo')",
        "promise.py": "async def later(): return 1.0\ndef compute_score(**kwargs): return later()",
        "names.py": "def compute_score(**kwargs): return 1.0\ndef answer_of(text, truth): raise KeyError('boom')",
        "lists.py": "def compute_score(**kwargs): return 1.0\ndef answer_of(text, truth): return [1]",
        "broken.py": "nothing",
        "empty.py": "",
        "raises.py": "def compute_score(**kwargs): return {}['x']",
        "words.py": "def compute_score(**kwargs): return 'good'",
    }.items():
        (tmp_path / name).write_text(text)
    given = arguments(task, tmp_path / "out")
    for name, value in zip(more[::2], more[1::2], strict=True):
        if name in given:
            given[given.index(name) + 1] = value
        else:
            given += [name, value]
    code, _, stderr = call(*given)
    assert code == 1
    assert stderr.startswith("error: ")
    assert message.format(here=tmp_path) in stderr
    assert stderr.count("\n") == 1


@pytest.mark.parametrize("damage", ["weights", "shapes", "vocabulary"])
def test_a_damaged_model_is_told_in_one_line(task: Path, tmp_path: Path, damage: str) -> None:
    model = tmp_path / "model"
    shutil.copytree(task / "model", model)
    if damage == "weights":
        (model / "model.safetensors").write_bytes((model / "model.safetensors").read_bytes()[:1000])
    elif damage == "shapes":
        config = json.loads((model / "config.json").read_text())
        (model / "config.json").write_text(json.dumps(config | {"hidden_size": 2 * config["hidden_size"]}))
    else:
        (model / "tokenizer.json").write_text("{}")
    given = arguments(task, tmp_path / "out")
    given[given.index("--model") + 1] = str(model)
    code, _, stderr = call(*given)
    assert (code, stderr.startswith("error: "), stderr.count("\n")) == (1, True, 1), stderr
    assert "loaded (" in stderr


def test_a_module_of_a_package_may_import_beside_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "rewards_beside"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "helper.py").write_text("SCORE = 0.25")
    (package / "main.py").write_text("from .helper import SCORE\ndef compute_score(**kwargs): return SCORE")
    monkeypatch.syspath_prepend(tmp_path)
    judge = Judge(Path(named_file("pkg://rewards_beside.main")))
    assert judge.judge([row(0)], [""])[0].score == 0.25


SLOW = "import time\nfrom pathlib import Path\ndef compute_score(solution_str, **kwargs):\n"
SLOW += "    if solution_str: Path(__file__).with_suffix('.called').touch(); time.sleep(600)\n    return 1.0\n"


def test_ctrl_c_does_not_wait_for_the_reward_function(task: Path, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    given = arguments(task, tmp_path / "out", "--reward-file", str(tmp_path / "slow.py"))
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from verl_resrl.cli import app; app()"
    )
    process = subprocess.Popen([sys.executable, "-c", program, *given], stderr=subprocess.PIPE)
    while not (tmp_path / "slow.called").exists():
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)  # the calls last ten minutes
    assert (process.returncode, b"the same command continues" in stderr) == (130, True)


@pytest.mark.parametrize("text", ["[1]", "\udcff"])
def test_damaged_settings_are_told_in_one_line(task: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "settings.json").write_bytes(text.encode(errors="surrogateescape"))
    code, _, stderr = call(*arguments(task, tmp_path / "out"))
    assert (code, stderr.count("\n"), "is not what resrl eval wrote; delete" in stderr) == (1, 1, True)


def test_brackets_in_names_are_no_markup(task: Path, tmp_path: Path) -> None:
    given = arguments(task, tmp_path / "[bold]out")
    model = tmp_path / "m[red]x"
    shutil.copytree(task / "model", model)
    given[given.index("--model") + 1] = str(model)
    code, stdout, _ = call(*given)
    assert code == 0
    assert "evaluation m[red]x" in stdout
    assert "[bold]out" in stdout


def test_other_settings_than_those_of_the_samples_are_refused(task: Path, evaluated: Path, tmp_path: Path) -> None:
    shutil.copytree(evaluated, tmp_path / "out")
    code, _, stderr = call(*arguments(task, tmp_path / "out", "--temperature", "0.5"))
    assert code == 1
    assert "holds samples of other settings (temperature is 1.0 there and 0.5 now)" in stderr
    assert stderr.count("\n") == 1


def test_a_setting_younger_than_the_samples_had_its_default(task: Path, evaluated: Path, tmp_path: Path) -> None:
    shutil.copytree(evaluated, tmp_path / "out")
    file = tmp_path / "out" / "settings.json"
    settings = json.loads(file.read_text())
    del settings["reward_name"]
    file.write_text(json.dumps(settings))
    assert call(*arguments(task, tmp_path / "out"))[0] == 0


def test_other_content_of_the_data_is_noticed(task: Path, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "data.parquet", row(0))
    given = [*arguments(task, tmp_path / "out"), "--data", str(data)]
    del given[3:5]
    assert call(*given)[0] == 0
    write_rows(data, row(1))
    code, _, stderr = call(*given)
    assert (code, "fingerprints is" in stderr) == (1, True)


def test_another_verifier_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reward is a thin file: verdicts come from what it imports."""
    (tmp_path / "tasks").mkdir()
    reward, beside = tmp_path / "tasks" / "reward.py", tmp_path / "tasks" / "verifier.py"
    reward.write_text(REWARD)
    beside.write_text("a = 1")
    data = write_rows(tmp_path / "data.parquet", row(0))
    settings = Settings("model", (str(data),), n=1, k=(1,), reward_file=str(reward))
    monkeypatch.setattr(evaluation_settings, "TASKS", tmp_path / "tasks")
    claim_folder(tmp_path / "out", settings)
    claim_folder(tmp_path / "out", settings)
    beside.write_text("a = 2")
    with pytest.raises(EvaluationError, match=r"holds samples of other settings .*fingerprints is"):
        claim_folder(tmp_path / "out", settings)
    beside.write_text("a = 1")
    monkeypatch.setattr(evaluation_settings, "version", lambda name: "0.0")
    with pytest.raises(EvaluationError, match=r"sympy 0\.0"):
        claim_folder(tmp_path / "out", settings)


def test_two_evaluations_in_one_folder_refuse(tmp_path: Path) -> None:
    with (
        open_samples(tmp_path),
        pytest.raises(EvaluationError, match="another evaluation is writing"),
        open_samples(tmp_path),
    ):
        pass


def test_a_file_system_without_locks_is_said_and_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    with open_samples(tmp_path) as file:
        assert file.samples == []
    assert "cannot be locked ([Errno 37] No locks available): do not start two evaluations" in caplog.messages[0]


def test_a_start_that_cannot_be_had_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def context(model: str) -> int:
        asked.append(model)
        if model == "models/elsewhere":
            raise EvaluationError("no such model")
        return 1024

    monkeypatch.setattr("verl_resrl.evaluation.run_settings.context_of", context)
    found = [
        RunSettings(model).start for model in ("models/elsewhere", "owner/model", str(tmp_path), "/no/folder", None)
    ]
    assert found == [None, "owner/model", str(tmp_path), None, None]
    assert asked == ["models/elsewhere", "owner/model"]


def test_a_foreign_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "samples.jsonl").write_text('{"problem": 0}\n')
    with pytest.raises(EvaluationError, match=r"line 1 of .*samples\.jsonl is not a sample"), open_samples(tmp_path):
        pass
