# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The mechanism test: a step against its first order by autograd, and the command on a random model."""

import json
import os
import sys
from pathlib import Path

import interference_error
import mechanism
import pytest
import torch
from mixed_groups import NO_GROUPS
from one_step import NONE, REVERSED, WEIGHTINGS, Group, log_probs, steps, weights_of_group
from transformers import AutoModelForCausalLM

from tests.training.trainer import make_task
from verl_resrl import ResRLConfig

GROUP = Group([3, 4], [[5, 6, 7, 8, 9], [8], [9, 10, 11], [5, 6, 12, 1]], torch.tensor([True, False, False, True]))


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_task(tmp_path_factory.mktemp("task"))


def test_a_step_is_its_first_order_and_changes_nothing(task: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(task, dtype=torch.float32).eval()
    parameters = dict(model.named_parameters())
    own = log_probs(model, GROUP, parameters)
    for row, response in enumerate(GROUP.responses):
        ids = torch.tensor([[*GROUP.prompt_ids, *response]])
        alone = model(ids).logits[0, 1:-1].log_softmax(-1).gather(1, ids[0, 2:, None])[:, 0]
        torch.testing.assert_close(own[GROUP.sequence == row], alone, rtol=1e-4, atol=1e-5)

    right = GROUP.correct[GROUP.sequence]
    weights = torch.linspace(0.1, 1.0, len(right))  # those of right tokens do not count
    pushed = torch.where(right, 0.0, weights)
    before = [parameter.detach().clone() for parameter in parameters.values()]
    gradients = [
        torch.autograd.grad(total, list(parameters.values()), retain_graph=True, materialize_grads=True)
        for total in ((own * pushed / pushed.sum()).sum(), own[right].sum() / 2, own[~right].sum() / 2)
    ]
    push, *moved = (torch.cat([part.flatten() for part in gradient]) for gradient in gradients)
    outcomes = steps(model, GROUP, {"none": right.float(), "a": weights, "b": weights.flip(0), "c": weights}, 1e-3)
    assert set(outcomes) == {"a", "b", "c"}
    assert outcomes["a"] == outcomes["c"] != outcomes["b"]
    outcome = outcomes["a"]
    expected = [-1e-3 * float(push @ one / push.norm()) for one in moved]
    assert [outcome.right, outcome.wrong] == pytest.approx(expected, rel=0.05)
    assert outcome.norm == pytest.approx(push.norm().item(), rel=1e-4)
    assert all(torch.equal(*pair) for pair in zip(parameters.values(), before, strict=True))


def test_weightings_of_a_group(task: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(task, dtype=torch.float32).eval()
    weights, proxies = weights_of_group(model, GROUP, ResRLConfig(rank=3))
    assert tuple(weights) == WEIGHTINGS
    wrong = ~GROUP.correct[GROUP.sequence]
    assert (weights[NONE] == 1).all()
    for name in ("residual", "interference"):
        shuffled = weights[f"{name} shuffled"][wrong]
        assert torch.equal(shuffled.sort().values, weights[name][wrong].sort().values)
    torch.testing.assert_close(weights[REVERSED][wrong] + weights["interference"][wrong], torch.full((4,), 1.1))
    assert set(weights["nthr"][wrong].tolist()) <= {0.0, 1.0}  # half of the responses are right
    assert proxies["alignment"] > 0


def test_the_command(
    task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    arguments = ["--groups", "3", "--rollouts", "8", "--max-tokens", "12", "--rank", "4", "--out", str(out)]
    reward = ["--reward-file", str(task / "reward.py")]
    monkeypatch.setattr("sys.argv", ["mechanism.py", str(task), str(task / "data.parquet"), *arguments, *reward])
    assert mechanism.main() == 0
    result, shown = json.loads(out.read_text()), capsys.readouterr().out
    assert len(result["groups"]) == 3
    assert set(result["rank_correlations"]) == {"alignment", "interference"}
    assert result["origin"]["versions"]["torch"]
    assert result["seconds"] > 0
    for name, row in result["weightings"].items():
        found = [group["outcomes"][name] for group in result["groups"] if name in group["outcomes"]]
        mean, low, high = row["right"]
        assert mean == pytest.approx(sum(outcome["right"] for outcome in found) / len(found))
        assert low <= mean <= high
        assert f"| {name} | {len(found)} | {mean:+.4f} [{low:+.4f}, {high:+.4f}] |" in shown
    assert set(WEIGHTINGS) - {"nthr"} <= set(result["weightings"])

    # stopped after the first group, the same command goes on from there, and more groups can be asked for
    out.write_text(json.dumps(result | {"groups": result["groups"][:1]}))
    monkeypatch.setattr("sys.argv", [*sys.argv, "--groups", "4"])
    assert mechanism.main() == 0
    continued = json.loads(out.read_text())["groups"]
    assert continued[:3] == result["groups"]
    assert len(continued) == 4
    monkeypatch.setattr("sys.argv", [*sys.argv, "--groups", "3"])
    assert mechanism.main() == 1
    assert "has 4 already; ask for as many" in capsys.readouterr().err
    changed = "has groups from before sources, model, data or reward file have changed; name another file"
    with monkeypatch.context() as later:
        later.setattr(mechanism, "SOURCES", mechanism.SOURCES[:-1])
        assert mechanism.main() == 1
    assert changed in capsys.readouterr().err
    os.utime(task / "model.safetensors")  # written anew
    assert mechanism.main() == 1
    assert changed in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", [*sys.argv, "--rank", "3"])
    assert mechanism.main() == 1
    assert "has groups of another rank; name another file" in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", [*sys.argv, "--rank", "0"])
    assert mechanism.main() == 1
    assert capsys.readouterr().err == "error: ResRL: rank=0 must be an integer in [1, infinity)\n"
    monkeypatch.setattr("sys.argv", [*sys.argv, "--rank", "4", "--out", str(task / "config.json")])
    assert mechanism.main() == 1
    assert "config.json is not what this command writes; name another file" in capsys.readouterr().err

    monkeypatch.setattr("sys.argv", ["mechanism.py", str(task), str(task / "none.parquet"), *reward])
    assert mechanism.main() == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: ")


def test_what_sparse_errors_and_few_directions_cost(
    task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--groups", "2", "--rollouts", "6", "--max-tokens", "12", "--every-other-right"]
    files = ["--plot", str(tmp_path / "plot.png"), "--out", str(tmp_path / "out.json")]
    monkeypatch.setattr("sys.argv", ["x.py", str(task), str(task / "data.parquet"), *arguments, *files])
    assert interference_error.main() == 0
    assert (tmp_path / "plot.png").stat().st_size > 1000
    rows = {(row["rank"], row["top_tokens"]): row for row in json.loads((tmp_path / "out.json").read_text())["errors"]}
    everything, few = rows[32, 64], rows[8, 4]  # of 32 dimensions and 50 tokens
    assert everything["rank_correlation_worst"] > 1 - 1e-6
    assert everything["weights_worst"] < 1e-4
    assert few["rank_correlation"] < 0.99
    assert few["weights"] > 1e-3
    assert f"rank 8  top_tokens 4  rank_correlation {few['rank_correlation']:.5g}" in capsys.readouterr().out
    (tmp_path / "reward.py").write_text("def compute_score(*_, **__):\n    return 0.0\n")
    nothing = ["--groups", "2", "--rollouts", "2", "--max-tokens", "4", "--reward-file", str(tmp_path / "reward.py")]
    monkeypatch.setattr("sys.argv", ["x.py", str(task), str(task / "data.parquet"), *nothing])
    assert interference_error.main() == 1
    assert capsys.readouterr().err.endswith(f"error: {NO_GROUPS}\n")
