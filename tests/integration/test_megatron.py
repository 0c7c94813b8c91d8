# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The Megatron engine: hidden states of the right layer and token under tensor, pipeline and context parallelism."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from verl.utils import tensordict_utils as tu

from tests.integration.engines import make_batch, save_model, start_process_group
from tests.integration.test_engine import RESRL, SEQUENCES
from tests.integration.test_head_tap import EXACT, assert_interference, dense_of
from tests.ranks import run_ranks
from verl_resrl import ResRLConfig, token_weights

pytest.importorskip("megatron.core", reason="Megatron-Core is not installed")

LAYOUTS = {"tensor": (2, 1), "pipeline": (1, 2)}  # ranks of each kind


def infer(engine: Any, data: Any, temperature: float = 1.0) -> dict[str, Any]:
    """Run the old_log_prob pass as verl's worker does, on this process."""
    tu.assign_non_tensor(data, use_dynamic_bsz=False, micro_batch_size_per_gpu=4)
    data["temperature"] = torch.full((len(data),), temperature)
    return engine.infer_batch(data)


def expected(data: Any) -> torch.Tensor:
    """Weights from a model that ends one layer early: its output is the input of the whole model's last layer."""
    from tests.integration.megatron_on_cpu import LAYERS, make_model

    whole = make_model()
    short = make_model(LAYERS - 1, post_process=False)
    short.load_state_dict({name: whole.state_dict()[name] for name in short.state_dict()})
    states = []
    for ids, response in zip(data["input_ids"].unbind(), data["responses"].unbind(), strict=True):
        with torch.no_grad():
            hidden = short(ids[None], torch.arange(len(ids))[None])[:, 0]
        states.append(hidden[len(ids) - len(response) - 1 : -1])
    uids = [uid for uid, *_ in SEQUENCES]
    return token_weights(
        torch.cat(states),
        torch.repeat_interleave(torch.arange(len(states)), torch.tensor([len(state) for state in states])),
        torch.tensor([uids.index(uid) for uid in uids]),
        torch.tensor([reward > 0 for *_, reward in SEQUENCES]),
        config=ResRLConfig(**RESRL),
        seed=42,
    ).weights


def run_rank(rank: int, folder: str) -> None:
    """Run every layout on this rank, one after the other, and save what it returns."""
    from megatron.core import parallel_state

    from tests.integration.megatron_on_cpu import cpu_for_cuda, make_engine

    torch.set_num_threads(1)
    start_process_group(rank, 2, init_method=f"file://{folder}/rendezvous")
    weights = {}
    for name, (tensor, pipeline) in LAYOUTS.items():
        with cpu_for_cuda():
            engine = make_engine(Path(folder), RESRL, tensor, pipeline)
            load_part(engine.module[0], folder)
            output = infer(engine, make_batch(SEQUENCES))
        found = output["model_output"].get("resrl_weights") if output else None
        weights[name] = None if found is None else found.values()
        if name == "tensor":
            check_sequence_parallel(rank)
        check_gradient(engine, rank)
        parallel_state.destroy_model_parallel()
    check_context_parallel()
    torch.save(weights, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def check_gradient(engine: Any, rank: int) -> None:
    """A gradient that is not finite on one rank stops all of them, whichever attribute Megatron keeps it in."""
    parameter = next(engine.module[0].parameters())
    parameter.grad = torch.ones_like(parameter)
    assert engine._gradient_is_finite()
    parameter.grad[0] = torch.nan if rank == 0 else 1.0
    assert not engine._gradient_is_finite()
    parameter.main_grad = torch.ones_like(parameter)  # which Megatron applies; the other one is stale then
    assert engine._gradient_is_finite()
    parameter.main_grad[-1] = torch.inf if rank == 1 else 1.0
    assert not engine._gradient_is_finite()


def check_sequence_parallel(rank: int) -> None:
    """Parts of a sequence-parallel tensor come together in order."""
    from verl_resrl.integration.megatron import gather_sequence

    part = torch.arange(rank * 6, (rank + 1) * 6).view(3, 1, 2)
    assert gather_sequence(part).flatten().tolist() == list(range(12))


def check_context_parallel() -> None:
    """Hidden states that say which token they are of, spread over two ranks, come back whole and in order."""
    from megatron.core import parallel_state
    from verl.models.mcore.util import postprocess_thd_engine, preprocess_thd_engine

    parallel_state.initialize_model_parallel(context_parallel_size=2)
    ids = torch.nested.as_nested_tensor([torch.arange(1, 8), torch.arange(10, 13)], layout=torch.jagged)
    local, packed, _ = preprocess_thd_engine(ids, pre_process=True)
    hidden = local.squeeze(0)[None, :, None] * torch.tensor([1, 100])  # (1, tokens of this rank, 2)
    whole = postprocess_thd_engine(hidden, packed, ids, 2)
    assert whole.values().tolist() == [[t, 100 * t] for t in (*range(1, 8), *range(10, 13))]
    assert whole.offsets().tolist() == [0, 7, 10]


def load_part(part: Any, folder: str) -> None:
    """Give a pipeline stage its layers of the whole model; tensor-parallel parts have theirs from the same seed."""
    from megatron.core import parallel_state

    if parallel_state.get_pipeline_model_parallel_world_size() == 1:
        return
    whole = torch.load(f"{folder}/whole.pt")
    first = part.decoder.layers[0].layer_number - 1
    names = {name: name for name in part.state_dict()}
    for name in names:
        words = name.split(".")
        if words[:2] == ["decoder", "layers"]:
            words[2] = str(int(words[2]) + first)
            names[name] = ".".join(words)
    part.load_state_dict({name: whole[source] for name, source in names.items()})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model("Llama", tmp_path_factory.mktemp("model"))  # for its configuration and tokenizer


@pytest.fixture(scope="module")
def weights(folder: Path) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Of one rank: expected and found."""
    from megatron.core import parallel_state

    from tests.integration.megatron_on_cpu import cpu_for_cuda, make_engine

    start_process_group()
    with cpu_for_cuda():
        engine, data = make_engine(folder, RESRL), make_batch(SEQUENCES)
        torch.save(engine.module[0].state_dict(), folder / "whole.pt")
        yield expected(data), infer(engine, data)["model_output"]["resrl_weights"].values()
    parallel_state.destroy_model_parallel()


def test_tap_is_the_input_of_the_last_layer(weights: tuple[torch.Tensor, torch.Tensor]) -> None:
    truth, found = weights
    assert (found < 1).sum() > 10
    torch.testing.assert_close(found, truth, rtol=0, atol=1e-4)


def test_interference_without_tensor_parallelism(folder: Path) -> None:
    from megatron.core import parallel_state

    from tests.integration.megatron_on_cpu import cpu_for_cuda, make_engine, make_model

    start_process_group()
    with cpu_for_cuda():
        engine, data = make_engine(folder, EXACT), make_batch(SEQUENCES)
        output = infer(engine, data, temperature=0.7)["model_output"]
        model = make_model()

        def predict(ids: torch.Tensor) -> torch.Tensor:
            return model(ids[None], torch.arange(len(ids))[None])[0]

        assert_interference(output, dense_of(predict, model.output_layer, data, 0.7))
    parallel_state.destroy_model_parallel()


def test_weights_do_not_depend_on_the_layout(folder: Path, weights: tuple[torch.Tensor, torch.Tensor]) -> None:
    truth, _ = weights
    run_ranks(run_rank, 2, str(folder))
    first, second = (torch.load(folder / f"{rank}.pt") for rank in range(2))
    for found in (first["tensor"], second["pipeline"]):
        torch.testing.assert_close(found, truth, rtol=0, atol=1e-4)
    assert second["tensor"] is None  # verl takes those of the first rank
    assert first["pipeline"] is None  # the first stage has neither the layer nor the loss
