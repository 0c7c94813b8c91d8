# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""``token_weights`` against stored inputs and their float64 exact-SVD outputs, made independently of this package."""

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import exact as reference
from verl_resrl import ResRLConfig, token_weights

GOLDENS = Path(__file__).with_name("goldens")
# name: (dtype of hidden, largest weight error, active groups); the contract allows 1e-2, mean 1e-3
CASES = {
    "tiny_d32": (torch.float32, 1e-4, [1, 1, 1]),
    "mid_d256": (torch.float32, 1e-5, [1, 1, 1, 1]),
    "full_rank_small_group": (torch.float32, 1e-5, [1, 1]),
    "inactive_groups": (torch.float32, 1e-5, [1, 0, 0, 0, 1]),
    "bf16_d512_outliers": (torch.bfloat16, 5e-4, [1, 1]),
}


def load(name: str) -> dict[str, np.ndarray]:
    with np.load(GOLDENS / f"{name}.npz") as file:
        return dict(file)


def config(golden: dict[str, np.ndarray]) -> ResRLConfig:
    return ResRLConfig(
        rank=int(golden["rank"]),
        q_low=float(golden["q_low"]),
        q_high=float(golden["q_high"]),
        xi=float(golden["min_weight"]),
    )


def test_every_golden_has_a_case() -> None:
    assert {path.stem for path in GOLDENS.glob("*.npz")} == set(CASES)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_token_weights_match_golden(name: str, seed: int, device: str) -> None:
    golden = load(name)
    dtype, largest_error, active = CASES[name]
    hidden = torch.from_numpy(golden["hidden"]).to(dtype)
    assert torch.equal(hidden.float(), torch.from_numpy(golden["hidden"]))  # no rounding of the input
    out = token_weights(
        hidden.to(device),
        *(torch.from_numpy(golden[key]).to(device) for key in ("sequence_ids", "group_ids", "is_positive")),
        config=config(golden),
        seed=seed,
    )
    positive = golden["is_positive"][golden["sequence_ids"]]

    error = np.abs(out.weights.cpu().double().numpy() - golden["weights"])
    assert error[~positive].mean() <= 0.1 * largest_error
    assert error[~positive].max() <= largest_error
    assert (error[positive] == 0).all()  # exactly 1
    assert out.active.tolist() == [bool(flag) for flag in active]

    residual, alignment = out.residual.cpu().double().numpy(), out.alignment.cpu().double().numpy()
    has_basis = ~np.isnan(golden["residual"])
    np.testing.assert_array_equal(np.isnan(residual), ~has_basis)
    np.testing.assert_array_equal(np.isnan(alignment), np.isnan(golden["alignment"]))
    np.testing.assert_allclose(alignment[has_basis], golden["alignment"][has_basis], rtol=5e-5)
    # residuals of negatives; those of positives that lie in the subspace are rounding noise around 0
    np.testing.assert_allclose(residual[~positive & has_basis], golden["residual"][~positive & has_basis], rtol=1e-3)
    d = golden["hidden"].shape[1]
    length = golden["residual"] + golden["alignment"] / d  # ||x||^2 / d, which bounds e
    assert (np.abs(residual - golden["residual"])[has_basis] <= 5e-5 * length[has_basis]).all()


@pytest.mark.parametrize("name", CASES)
def test_reference_matches_golden(name: str) -> None:
    """The truth of the property tests is the truth of the goldens."""
    golden = load(name)
    out = reference.token_weights(
        *(golden[key] for key in ("hidden", "sequence_ids", "group_ids", "is_positive")),
        rank=int(golden["rank"]),
        q_low=float(golden["q_low"]),
        q_high=float(golden["q_high"]),
        xi=float(golden["min_weight"]),
    )
    np.testing.assert_allclose(out.weights, golden["weights"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(out.residual, golden["residual"], rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(out.alignment, golden["alignment"], rtol=1e-9)
