# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Ulysses sequence parallelism: two processes that hold half of the packed tokens each agree on the weights."""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from tests.engines import make_batch, make_engine, save_model, start_process_group
from tests.test_engine import RESRL, SEQUENCES, expected, infer


def run_rank(rank: int, folder: str) -> None:
    """Run the old_log_prob pass on one of two ranks and save what it returns."""
    torch.set_num_threads(1)
    start_process_group(rank, 2, init_method=f"file://{folder}/rendezvous")
    engine = make_engine(
        Path(folder), RESRL, {"use_remove_padding": True}, ulysses_sequence_parallel_size=2, fsdp_size=2
    )
    output = infer(engine, make_batch(SEQUENCES), micro_batch_size_per_gpu=4)
    torch.save(output["resrl_weights"].values(), f"{folder}/weights{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_ranks_give_the_weights_of_one(tmp_path: Path) -> None:
    save_model("Qwen3", tmp_path)
    # verl exchanges heads and tokens inside flash attention, which needs a GPU: silence the attention, and the
    # hidden states of a token are the same wherever its neighbours are
    file = tmp_path / "model.safetensors"
    tensors = load_file(file)
    silenced = [name for name in tensors if name.endswith("o_proj.weight")]
    assert len(silenced) == 3
    save_file(tensors | {name: torch.zeros_like(tensors[name]) for name in silenced}, file, {"format": "pt"})

    torch.multiprocessing.spawn(run_rank, args=(str(tmp_path),), nprocs=2)
    weights, _ = expected(tmp_path, make_batch(SEQUENCES))
    assert len(weights.unique()) > 5
    for rank in range(2):
        torch.testing.assert_close(torch.load(tmp_path / f"weights{rank}.pt"), weights, rtol=0, atol=1e-3)
