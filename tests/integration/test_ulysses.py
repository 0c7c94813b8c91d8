# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Ulysses sequence parallelism: of two processes that hold half of the packed tokens each, one computes the weights.

verl exchanges heads and tokens around flash attention, which needs a GPU. Stood in for: flash attention itself, by
PyTorch's attention over each of the packed sequences, and PyTorch's all_to_all, which gloo has only since PyTorch 2.13;
the exchange is verl's own.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AttentionInterface
from verl.models.transformers import monkey_patch

from tests.integration.engines import make_batch, make_engine, save_model, start_process_group
from tests.integration.test_engine import RESRL, SEQUENCES, expected, infer, train, with_advantages
from tests.integration.test_head_tap import EXACT, assert_interference, dense
from tests.ranks import run_ranks
from verl_resrl import ResRLConfig
from verl_resrl.integration.tap import HiddenStateTap, ResponseStates

ATTENTION = "ulysses_on_cpu"
MEASURED = RESRL | {"measure_lld": True}


def packed_attention(
    query: Tensor, key: Tensor, value: Tensor, *_: Any, position_ids: Tensor, **options: Any
) -> Tensor:
    """Flash attention's result for (1, length, heads, head size): causal, each sequence for itself."""
    starts = (position_ids[0] == 0).nonzero().flatten().tolist()
    parts = []
    for first, last in zip(starts, [*starts[1:], query.shape[1]], strict=True):
        q, k, v = (tensor[:, first:last].transpose(1, 2) for tensor in (query, key, value))
        part = torch.nn.functional.scaled_dot_product_attention(
            q, k, v, is_causal=True, scale=options["softmax_scale"], enable_gqa=True
        )
        parts.append(part.transpose(1, 2))
    return torch.cat(parts, 1)


def ulysses_attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, scaling: float, **kwargs: Any
) -> tuple[Tensor, None]:
    """What transformers calls for each layer: verl's exchange around attention."""
    states = (tensor.transpose(1, 2) for tensor in (query, key, value))
    output = monkey_patch._ulysses_flash_attention_forward(
        *states, None, query.shape[2], softmax_scale=scaling, position_ids=kwargs["position_ids"]
    )
    return output, None


def all_to_all(outputs: list[Tensor], inputs: list[Tensor], group: Any = None, async_op: bool = False) -> None:
    """What ``torch.distributed.all_to_all`` does: each rank gets what the others have for it."""
    assert not async_op
    sent = torch.stack(inputs)
    everything = [torch.empty_like(sent) for _ in inputs]
    torch.distributed.all_gather(everything, sent, group=group)
    for output, of_one_rank in zip(outputs, everything, strict=True):
        output.copy_(of_one_rank[torch.distributed.get_rank(group)])


def run_rank(rank: int, folder: str) -> None:
    """Run the old_log_prob pass and an update on one of two ranks and save what they return."""
    torch.set_num_threads(1)
    start_process_group(rank, 2, init_method=f"file://{folder}/rendezvous")
    monkey_patch._flash_attention_forward = packed_attention
    torch.distributed.all_to_all = all_to_all
    AttentionInterface.register(ATTENTION, ulysses_attention)
    store, stored = ResponseStates.store, []

    def spy(*arguments: Any) -> None:
        stored.append(arguments)
        store(*arguments)

    ResponseStates.store = spy  # type: ignore[method-assign]
    engine = make_engine(
        Path(folder),
        RESRL,
        {"use_remove_padding": True, "override_config": {"attn_implementation": ATTENTION}},
        ulysses_sequence_parallel_size=2,
        fsdp_size=2,
    )
    found: dict[str, Any] = {"weights": infer(engine, make_batch(SEQUENCES), micro_batch_size_per_gpu=4)}
    engine._resrl, engine._head_tap = ResRLConfig(**EXACT), HiddenStateTap(engine._output_head())
    found["interference"] = infer(engine, make_batch(SEQUENCES), micro_batch_size_per_gpu=4, temperature=0.7)
    engine._resrl, engine._head_tap = ResRLConfig(**MEASURED), None
    found["displacement"] = displacement(engine)
    found["stored"] = len(stored)
    torch.save(found, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def displacement(engine: Any) -> list[float] | None:
    """As measured after an update; as in verl, every process gets what the first one has returned."""
    data = make_batch(SEQUENCES)
    output = infer(engine, data, micro_batch_size_per_gpu=4)
    weights = [output.get("resrl_weights")]
    torch.distributed.broadcast_object_list(weights)
    data = with_advantages(data, output["log_probs"])
    data["resrl_weights"] = weights[0]
    return train(engine, data, "vanilla", update_lr_scheduler=True).get("resrl/lld_measured")


def test_two_ranks_give_the_weights_of_one(tmp_path: Path) -> None:
    save_model("Qwen3", tmp_path)
    run_ranks(run_rank, 2, str(tmp_path))
    weights, _ = expected(tmp_path, make_batch(SEQUENCES))
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=False) for rank in range(2))
    torch.testing.assert_close(first["weights"]["resrl_weights"].values(), weights, rtol=0, atol=1e-4)
    assert_interference(first["interference"], dense(tmp_path, make_batch(SEQUENCES), 0.7))
    alone = displacement(make_engine(tmp_path, MEASURED))
    assert alone is not None
    assert first["displacement"] == pytest.approx(alone, rel=1e-3)
    # verl takes the first one's output: the other keeps nothing
    assert second.pop("displacement") is None
    assert (first.pop("stored") > 0, second.pop("stored")) == (True, 0)
    assert not any(name.startswith("resrl_") for output in second.values() for name in output)
