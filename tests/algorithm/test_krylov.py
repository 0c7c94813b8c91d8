# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Singular vectors by the block Krylov method against an exact SVD in float64, where it really iterates."""

import pytest
import torch
from torch import Tensor

from verl_resrl.algorithm.krylov import _orthonormal_rows, block_size, num_vectors, top_right_singular_vectors

COUNT, D, RANK = 416, 300, 16


def tokens_with(spectrum: Tensor, seed: int = 0) -> Tensor:
    """(COUNT, D) float32 centred tokens whose variance along orthogonal directions is the square of the spectrum."""
    generator = torch.Generator().manual_seed(seed)
    directions = torch.linalg.qr(torch.randn(D, D, generator=generator)).Q[: len(spectrum)]
    x = torch.randn(COUNT, len(spectrum), generator=generator) * spectrum @ directions
    return x - x.mean(0)


def basis_of(x: Tensor, rank: int = RANK) -> Tensor:
    return top_right_singular_vectors(x[None], torch.tensor([len(x)]), rank)[0].double()


def test_these_problems_are_iterated() -> None:
    assert num_vectors(RANK) < min(COUNT, D)
    assert COUNT % block_size(RANK) == 0


@pytest.mark.parametrize(
    "spectrum",
    [
        torch.arange(1, D + 1) ** -0.7,
        torch.arange(1, D + 1) ** -2.0,
        (-torch.arange(D) / 4).exp(),
        torch.cat([torch.full((3,), 1e3), torch.arange(1, D - 2) ** -0.7]),  # massive dimensions
        torch.cat([torch.ones(RANK), torch.full((D - RANK,), 0.5)]),
    ],
    ids=["slow", "fast", "exponential", "massive", "step"],
)
def test_what_is_left_outside_is_that_of_the_exact_svd(spectrum: Tensor) -> None:
    x = tokens_with(spectrum)
    basis, exact = basis_of(x), torch.linalg.svd(x.double(), full_matrices=False)
    torch.testing.assert_close(basis.T @ basis, torch.eye(RANK).double(), rtol=0, atol=1e-6)
    left, truth = ((x.double() - x.double() @ v @ v.T).square().sum(1) for v in (basis, exact.Vh[:RANK].T))
    torch.testing.assert_close(left.sum(), truth.sum(), rtol=1e-4, atol=0)
    torch.testing.assert_close(left, truth, rtol=2e-2, atol=0)  # of the token that it fits worst


@pytest.mark.parametrize("own_rank", [1, 5, RANK, 40])
def test_tokens_of_a_lower_rank_than_vectors(own_rank: int) -> None:
    x = tokens_with(torch.linspace(1, 0.1, own_rank))
    basis = basis_of(x)
    k = min(own_rank, RANK)
    torch.testing.assert_close(basis.T @ basis, torch.diag((torch.arange(RANK) < k).double()), rtol=0, atol=1e-6)
    exact = torch.linalg.svd(x.double(), full_matrices=False).Vh[:k].T
    torch.testing.assert_close(basis @ basis.T, exact @ exact.T, rtol=0, atol=1e-5)


def test_equal_tokens_and_tokens_of_zeros_span_nothing() -> None:
    assert not basis_of(torch.zeros(COUNT, D)).any()


def test_rows_that_depend_on_others_become_zeros() -> None:
    generator = torch.Generator().manual_seed(0)
    others = torch.linalg.qr(torch.randn(200, 20, generator=generator)).Q.T[None]
    new = torch.randn(1, 3, 200, generator=generator) * torch.tensor([1e4, 1.0, 1e-3])[:, None]
    inside = torch.randn(1, 2, 20, generator=generator) @ others
    rows = _orthonormal_rows(torch.cat([new, inside, new[:, :1], inside.new_zeros(1, 1, 200)], 1), others)
    gram = torch.cat([others, rows], 1).double()
    gram = (gram @ gram.mT)[0]
    torch.testing.assert_close(gram, torch.diag(gram.diagonal().round()), rtol=0, atol=2e-6)
    assert gram.diagonal().round().tolist() == [1.0] * 23 + [0.0] * 4


def test_a_steep_spectrum_keeps_its_digits() -> None:
    """Its blocks differ by orders of magnitude: against the last two alone, 3% of what is left is noise."""
    count, d, rank = 1024, 512, 64
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(count, d, generator=generator) * torch.arange(1, d + 1) ** -2.0
    x = x @ torch.linalg.qr(torch.randn(d, d, generator=generator)).Q
    x -= x.mean(0)
    exact = torch.linalg.svd(x.double(), full_matrices=False).Vh[:rank].T
    left, truth = ((x.double() - x.double() @ v @ v.T).square().sum(1) for v in (basis_of(x, rank), exact))
    torch.testing.assert_close(left, truth, rtol=1e-4, atol=0)
