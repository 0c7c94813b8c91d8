# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""verl's whole engine on several data-parallel ranks, as processes over gloo: one batch, the weights of one rank."""

from pathlib import Path
from typing import Any

import pytest
import torch
from verl.utils import tensordict_utils as tu

from tests.integration.engines import make_batch, make_engine, save_model, start_process_group
from tests.integration.test_engine import RESRL, SEQUENCES, expected, infer, train, with_advantages
from tests.ranks import run_ranks

# rank of each sequence: with four, prompt "a" is on three of them, and one has only padding and an inactive group
PLACES = {2: [0, 1, 1, 0, 1, 0, 0, 1], 4: [0, 1, 1, 2, 3, 0, 2, 3]}
# options of the model, of the engine, and of the pass
VARIANTS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "padded": ({}, {"reshard_after_forward": False}, {"micro_batch_size_per_gpu": 2}),
    "remove_padding": (
        {"use_remove_padding": True},
        {"param_offload": True, "optimizer_offload": True},
        {"micro_batch_size_per_gpu": 1},
    ),
    "dynamic": ({"use_remove_padding": True}, {}, {"use_dynamic_bsz": True, "max_token_len_per_gpu": 30}),
}
INTERFERENCE = RESRL | {"weighting": "interference"}
SHUFFLED = RESRL | {"shuffle": True, "measure_lld": True}


def infer_and_train(
    folder: Path, rows: list[int], resrl: dict[str, Any], model_options: Any, engine_options: Any, **settings: Any
) -> Any:
    """Both passes of a rank over its rows; weights of each row and metrics of the update."""
    data = tu.index_select_tensor_dict(make_batch(SEQUENCES), rows)
    engine = make_engine(folder, resrl, model_options, fsdp_size=torch.distributed.get_world_size(), **engine_options)
    output = infer(engine, data, **settings)
    data = with_advantages(data, output["log_probs"], [SEQUENCES[row] for row in rows])
    data.update({name: output[name] for name in ("resrl_weights", "resrl_interference") if name in output})
    metrics = train(engine, data, "vanilla", micro_batch_size_per_gpu=1, update_lr_scheduler=True)
    return output["resrl_weights"].unbind(), metrics


def run_rank(rank: int, world_size: int, folder: str) -> None:
    """Run each variant on this rank's rows and save what it returns, with the gradient norm of an update."""
    torch.set_num_threads(1)
    start_process_group(rank, world_size, init_method=f"file://{folder}/rendezvous{world_size}")
    rows = [row for row, place in enumerate(PLACES[world_size]) if place == rank]
    results = {}
    for name, (model_options, engine_options, settings) in VARIANTS.items():
        passes = infer_and_train(Path(folder), rows, RESRL, model_options, engine_options, **settings)
        results[name] = (rows, *passes)
    passes = infer_and_train(Path(folder), rows, SHUFFLED, {}, {}, micro_batch_size_per_gpu=1)
    results["shuffled"] = (rows, *passes)
    passes = infer_and_train(
        Path(folder), rows, INTERFERENCE, {"use_remove_padding": True}, {}, micro_batch_size_per_gpu=1
    )
    results["interference"] = (rows, *passes)
    torch.save(results, f"{folder}/results{world_size}-{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model("Qwen3", tmp_path_factory.mktemp("model"))


def test_ranks_and_micro_batches_do_not_matter(folder: Path) -> None:
    weights, _ = expected(folder, make_batch(SEQUENCES))
    rows = weights.split([response for _, _, response, _ in SEQUENCES])
    start_process_group()
    everything = list(range(len(SEQUENCES)))
    _, metrics_of_one_rank = infer_and_train(folder, everything, RESRL, {}, {})
    expected_of = dict.fromkeys(VARIANTS, (rows, metrics_of_one_rank))
    expected_of["shuffled"] = infer_and_train(folder, everything, SHUFFLED, {}, {})
    expected_of["interference"] = infer_and_train(folder, everything, INTERFERENCE, {}, {})
    assert metrics_of_one_rank["grad_norm"] > 0
    assert max((a - b).abs().max() for a, b in zip(rows, expected_of["shuffled"][0], strict=True)) > 0.1
    for world_size in PLACES:
        run_ranks(run_rank, world_size, world_size, str(folder))
        for rank in range(world_size):
            results = torch.load(folder / f"results{world_size}-{rank}.pt", weights_only=False)
            for name, (numbers, found, metrics) in results.items():
                rows, metrics_of_one_rank = expected_of[name]
                for number, row in zip(numbers, found, strict=True):
                    torch.testing.assert_close(row, rows[number], rtol=0, atol=1e-4)
                assert metrics["grad_norm"] == pytest.approx(metrics_of_one_rank["grad_norm"], rel=1e-4), name
                assert metrics["resrl/active_group_frac"] == [0.5]  # of all ranks, on each rank
                assert metrics["resrl/fallback_count"] == [0]
                more = (m for m in metrics_of_one_rank if "lld" in m or "interference" in m)
                for metric in ("resrl/weight_bin_1", *more):
                    assert metrics[metric] == [pytest.approx(metrics_of_one_rank[metric][0], rel=1e-4)], metric
                assert ("resrl/lld_measured" in metrics) == (name == "shuffled")
                assert ("resrl/lld_predicted" in metrics) == (name in ("shuffled", "interference"))
