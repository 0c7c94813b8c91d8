# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Basis and centroid against an exact SVD."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import exact as reference
from tests.algorithm.weight_inputs import SEED, limits
from verl_resrl import ResRLConfig
from verl_resrl.algorithm.krylov import top_right_singular_vectors
from verl_resrl.algorithm.subspace import fit_subspaces, layer_norm
from verl_resrl.algorithm.weighting import residual_to_weight


@pytest.mark.parametrize("largest", [None, 1.0, 1e-20])
@pytest.mark.parametrize("seed", [0, 1])
def test_basis_is_orthonormal_and_spans_what_the_exact_svd_spans(seed: int, largest: float | None) -> None:
    """Ten strong directions of 300 dimensions: the span is unique, and the iteration cannot hold all columns.

    Tokens count alike, or by importances, however small these all are.
    """
    rank, d = 10, 300
    generator = torch.Generator().manual_seed(seed)
    counts = torch.tensor([200, 120])
    strong = torch.randn(320, rank, generator=generator) @ torch.randn(rank, d, generator=generator)
    hidden = strong + torch.randn(320, d, generator=generator)
    rows = torch.randperm(320, generator=generator)
    importance = None if largest is None else torch.rand(320, generator=generator) * largest
    fit = fit_subspaces(hidden, rows, counts, rank, importance=importance)
    result = fit.subspaces
    assert (fit.residual is None) == (importance is not None)
    factors = (torch.ones(320) if importance is None else importance.double()).split(counts.tolist())
    for group, tokens in enumerate(rows.split(counts.tolist())):
        x = (
            reference.layer_norm(hidden[tokens].double().numpy())
            * (factors[group] / factors[group].max())[:, None].numpy()
        )
        mu = x.mean(axis=0)
        np.testing.assert_allclose(result.centroid[group].numpy(), mu, rtol=0, atol=1e-6)
        exact = np.linalg.svd(x - mu, full_matrices=False)[2][:rank].T
        basis = result.basis[group].double().numpy()
        np.testing.assert_allclose(basis.T @ basis, np.eye(rank), rtol=0, atol=1e-6)
        np.testing.assert_allclose(basis @ basis.T, exact @ exact.T, rtol=0, atol=1e-5)


def test_bfloat16_products_stay_within_the_contract() -> None:
    """What tensor cores do to the iteration: operands rounded to bfloat16, sums in float32."""
    count, rank, d = 416, 16, 256
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(2 * count, d, generator=generator) * torch.arange(1, d + 1) ** -0.7
    states = layer_norm(states @ torch.linalg.qr(torch.randn(d, d, generator=generator)).Q)
    states -= states[:count].mean(0)
    positive, negative = states[:count], states[count:].double()
    exact = torch.linalg.svd(positive.double(), full_matrices=False)[2][:rank].T
    basis = top_right_singular_vectors(positive[None].bfloat16(), torch.tensor([count]), rank)[0].double()

    def weights(v: torch.Tensor) -> torch.Tensor:
        outside = (negative - negative @ v @ v.T).square().sum(1).float()
        group = torch.zeros(count, dtype=torch.int64)
        return residual_to_weight(outside, group, limits(outside, group, 1, ResRLConfig()), ResRLConfig())

    error = (weights(basis) - weights(exact)).abs()
    assert 0 < error.mean() < 1e-3
    assert error.max() < 1e-2


@given(st.integers(min_value=2, max_value=9), st.sampled_from([1, 4, 20]), SEED)
def test_basis_has_at_most_one_direction_less_than_tokens(count: int, rank: int, seed: int) -> None:
    d = 12
    hidden = torch.randn(count, d, generator=torch.Generator().manual_seed(seed))
    basis = fit_subspaces(hidden, torch.arange(count), torch.tensor([count]), rank).subspaces.basis[0].double()
    k = min(rank, count - 1)
    assert basis.shape == (d, min(rank, d))
    torch.testing.assert_close(
        basis.T @ basis, torch.diag((torch.arange(min(rank, d)) < k).double()), rtol=0, atol=1e-6
    )
