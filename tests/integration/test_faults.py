# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Numbers that are not finite are reported with step, rank and prompt; a full disk keeps the checkpoint before."""

import re
import resource
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from torch.distributed.checkpoint import CheckpointException
from verl.utils import tensordict_utils as tu

from tests.integration.engines import VOCABULARY, make_batch, make_engine, save_model, start_process_group
from tests.integration.test_engine import SEQUENCES, infer, train, with_advantages
from tests.integration.test_ranks import PLACES
from tests.ranks import run_ranks
from verl_resrl.algorithm.groups import NonFiniteError
from verl_resrl.integration.faults import CheckpointError, GuardedEngineMixin, NonFiniteUpdateError

STOP, FALLBACK = {"rank": 5}, {"rank": 5, "on_failure": "fallback"}
STEP = 7


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model("Llama", tmp_path_factory.mktemp("llama"))


def batch() -> Any:
    data = make_batch(SEQUENCES)
    data["global_steps"] = torch.full((len(SEQUENCES),), STEP)
    return data


def jagged(rows: list[torch.Tensor]) -> torch.Tensor:
    return torch.nested.as_nested_tensor(rows, layout=torch.jagged)


def ready_to_train(engine: Any, factor: float = 1.0) -> Any:
    """A mini-batch between the two passes; the weights of sequence 2, of prompt a, are multiplied."""
    data = batch()
    output = infer(engine, data)
    weights = list(output["resrl_weights"].unbind())
    weights[2] = weights[2] * factor
    data = with_advantages(data, output["log_probs"])
    data["resrl_weights"] = jagged(weights)
    return data


def parameters(engine: Any) -> list[torch.Tensor]:
    return [p.full_tensor().clone() for p in engine.module.parameters()]


def same(first: list[torch.Tensor], second: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_hidden_states_stop_with_step_rank_and_prompt(model: Path) -> None:
    data = batch()
    ids = [row.clamp(max=VOCABULARY - 2) for row in data["input_ids"].unbind()]
    prompts = [row.clamp(max=VOCABULARY - 2) for row in data["prompts"].unbind()]
    ids[3][0] = prompts[3][0] = VOCABULARY - 1  # only this sequence has the token without an embedding
    data["input_ids"], data["prompts"] = jagged(ids), jagged(prompts)
    engine = make_engine(model, STOP)
    with torch.no_grad():
        engine.module.model.embed_tokens.weight[VOCABULARY - 1].fill_(float("nan"))
    with pytest.raises(NonFiniteError) as error:
        infer(engine, data)
    text = " ".join(f"t{token}" for token in prompts[3].tolist())
    assert str(error.value) == (
        "ResRL: hidden states of 11 response tokens are NaN or infinite; check the model; "
        f"step 7, rank 0: prompt '{text}' (uid b)"
    )


@pytest.mark.parametrize(("reason", "factor"), [("loss", float("nan")), ("gradient", 1e30)])
def test_update_stops_and_changes_nothing(reason: str, factor: float, model: Path) -> None:
    engine = make_engine(model, STOP)
    data = ready_to_train(engine, factor)
    before = parameters(engine)
    with pytest.raises(NonFiniteUpdateError, match=f"the {reason} of an update is NaN or infinite; step 7, rank 0"):
        train(engine, data, "vanilla")
    assert same(parameters(engine), before)


def test_loss_names_the_prompt_that_has_it(model: Path) -> None:
    engine = make_engine(model, STOP)
    data = ready_to_train(engine, float("nan"))
    with pytest.raises(NonFiniteUpdateError) as error:
        train(engine, data, "vanilla", micro_batch_size_per_gpu=2)
    assert "(uid a)" in str(error.value)
    assert "(uid b)" not in str(error.value)


@pytest.mark.parametrize(("reason", "factor"), [("loss", float("nan")), ("gradient", 1e30)])
def test_fallback_is_an_update_with_weights_1_and_is_counted(reason: str, factor: float, model: Path) -> None:
    engine = make_engine(model, FALLBACK)
    metrics = train(engine, ready_to_train(engine, factor), "vanilla")
    counts = {other: metrics[f"resrl/fallback_{other}_count"] for other in ("loss", "gradient", "non_finite")}
    groups_with_weights = 2  # a and b; the others are inactive
    assert counts == {other: [0] for other in counts} | {reason: [groups_with_weights]}
    assert metrics["resrl/fallback_count"] == [groups_with_weights]

    plain = make_engine(model)
    data = batch()
    train(plain, with_advantages(data, infer(plain, data)["log_probs"]), "vanilla")
    assert same(parameters(engine), parameters(plain))


def test_updates_that_are_fine_are_not_counted(model: Path) -> None:
    engine = make_engine(model, FALLBACK)
    metrics = train(engine, ready_to_train(engine), "vanilla")
    assert metrics["resrl/fallback_count"] == [0]
    assert metrics["resrl/fallback_loss_count"] == [0]


def run_rank(rank: int, folder: str) -> None:
    """Train on a mini-batch in which only rank 1 has a weight that is not finite; save the error."""
    torch.set_num_threads(1)
    start_process_group(rank, 2, init_method=f"file://{folder}/rendezvous")
    rows = [row for row, place in enumerate(PLACES[2]) if place == rank]
    engine = make_engine(Path(folder), STOP, fsdp_size=2)
    data = tu.index_select_tensor_dict(batch(), rows)
    output = infer(engine, data, micro_batch_size_per_gpu=1)
    weights = list(output["resrl_weights"].unbind())
    if rank == 1:
        weights[rows.index(2)][0] = float("nan")
    data = with_advantages(data, output["log_probs"], [SEQUENCES[row] for row in rows])
    data["resrl_weights"] = jagged(weights)
    before = parameters(engine)
    with pytest.raises(NonFiniteUpdateError) as error:
        train(engine, data, "vanilla", micro_batch_size_per_gpu=1)
    assert same(parameters(engine), before)
    Path(f"{folder}/error{rank}").write_text(str(error.value))
    torch.distributed.destroy_process_group()


def test_every_rank_stops_and_names_the_one_that_failed(model: Path) -> None:
    run_ranks(run_rank, 2, str(model))
    first, second = ((model / f"error{rank}").read_text() for rank in range(2))
    assert first == second
    assert "step 7, rank 1: prompt" in first
    assert first.endswith("(uid a)")


def test_full_disk_leaves_the_checkpoint_before_and_says_so(model: Path, tmp_path: Path) -> None:
    engine = make_engine(model, STOP)
    folders = [tmp_path / f"global_step_{step}" / "actor" for step in (1, 2)]
    engine.save_checkpoint(str(folders[0]), global_step=1)
    saved = parameters(engine)
    train(engine, ready_to_train(engine), "vanilla")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))  # the kernel refuses to write more into any file
    try:
        with pytest.raises(CheckpointError, match=r"step 2, rank 0: the checkpoint .*global_step_2.* the one before"):
            engine.save_checkpoint(str(folders[1]), global_step=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not folders[1].exists()
    engine.load_checkpoint(str(folders[0]))
    assert same(parameters(engine), saved)


class HalfWritten:
    """Stands for verl's engine: writes half a checkpoint and raises."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def save_checkpoint(self, local_path: str, *_: Any) -> None:
        Path(local_path).mkdir()
        (Path(local_path) / "half").touch()
        raise self.error


class GuardedHalfWritten(GuardedEngineMixin, HalfWritten):  # type: ignore[misc]
    """What raises inside of our guard."""


@pytest.mark.parametrize(
    ("error", "of_the_disk"),
    [
        (OSError(28, "No space left on device"), True),
        (RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0"), True),
        (CheckpointException("write", {0: (OSError(28, "No space left on device"), None)}), True),  # of Megatron
        (SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"), True),
        (RuntimeError("Gloo: connection closed by peer"), False),
    ],
)
def test_a_checkpoint_that_could_not_be_written_goes_and_one_that_may_be_whole_stays(
    error: BaseException, of_the_disk: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.distributed.get_rank", lambda: 3)
    folder = tmp_path / "global_step_2"
    with pytest.raises(CheckpointError if of_the_disk else type(error)) as raised:
        GuardedHalfWritten(error).save_checkpoint(str(folder), None, 2)
    assert folder.exists() != of_the_disk
    if of_the_disk:
        assert re.match("ResRL: step 2, rank 3: .*the one before stays valid", str(raised.value))
        assert "\n" not in str(raised.value)
