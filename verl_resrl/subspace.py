# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Positive tokens of each prompt group -> its centroid (mu) and orthonormal basis (V).

V holds the top-k right singular vectors of the centred, layer-normalised positive tokens (ResRL, arXiv 2605.00380,
eq. for the positive subspace). They are found by seeded, oversampled block subspace iteration (Halko, Martinsson,
Tropp, arXiv 0909.4061, algorithm 4.4) in float32 with the small factorizations in float64: GEMMs, Cholesky and one
eigendecomposition of a (k + 64) x (k + 64) matrix, batched over groups.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

LAYER_NORM_EPS = 1e-5
OVERSAMPLING = 64  # columns beyond k that the iteration carries along
ROUNDS = 6  # passes over X and X^T; with the oversampling above, weights agree with an exact SVD to about 1e-4
# Directions with less of the energy (squared singular value) are rounding noise of float32: relative to the first
# direction, and to the layer-normalised tokens before centring, whose rounding centring brings to the fore.
RANK_TOLERANCE = 1e-10
ROUNDING_ENERGY = 1e-13
WORKSPACE_BYTES = 1 << 30  # bound on the positive tokens that are held in float32 at one time


@dataclass(frozen=True)
class Subspaces:
    """The positive subspaces of G groups.

    Attributes:
        centroid: (G, d) float32, mu: mean of the layer-normalised positive tokens.
        basis: (G, d, k) float32, V: orthonormal columns; zero columns beyond a group's own rank.
    """

    centroid: Tensor
    basis: Tensor


def layer_norm(hidden: Tensor) -> Tensor:
    """Normalise each row to zero mean and unit variance, without affine parameters.

    Args:
        hidden: (..., d) float32 or bfloat16.

    Returns:
        (..., d) float32.
    """
    return torch.nn.functional.layer_norm(hidden.float(), hidden.shape[-1:], eps=LAYER_NORM_EPS)


def fit_subspaces(hidden: Tensor, rows: Tensor, counts: Tensor, rank: int, seed: int) -> Subspaces:
    """Fit centroid and basis of every group.

    Args:
        hidden: (n, d) float32 or bfloat16 hidden states.
        rows: (m,) int64 indices into ``hidden`` of the positive tokens, group after group.
        counts: (G,) int64 number of rows of each group, at least 2.
        rank: k, the largest number of directions.
        seed: seed of the start of the iteration.

    Returns:
        Subspaces of the G groups, in their order.

    Raises:
        ValueError: a hidden state is not finite.
    """
    d = hidden.shape[1]
    width = min(rank, d)
    subspaces = Subspaces(
        centroid=hidden.new_zeros(len(counts), d, dtype=torch.float32),
        basis=hidden.new_zeros(len(counts), d, width, dtype=torch.float32),
    )
    start = _start_matrix(d, min(rank + OVERSAMPLING, d), seed).to(hidden.device)
    first_row = counts.cumsum(0) - counts
    for chunk in _chunks(counts, d):
        tokens, present = _gather(hidden, rows, first_row[chunk], counts[chunk])
        centroid = tokens.sum(1, dtype=torch.float64) / counts[chunk, None]
        if not torch.isfinite(centroid).all():
            raise ValueError("ResRL: a hidden state of a positive token is NaN or infinite; check the model's forward")
        centroid = centroid.float()
        tokens.sub_(centroid[:, None]).mul_(present[:, :, None])
        subspaces.centroid[chunk] = centroid
        subspaces.basis[chunk] = _top_right_singular_vectors(tokens, counts[chunk], width, start)
    return subspaces


def _start_matrix(d: int, q: int, seed: int) -> Tensor:
    """(d, q) float32 Gaussian, the same for every group: a group's result does not depend on its neighbours."""
    return torch.randn(d, q, generator=torch.Generator().manual_seed(seed), dtype=torch.float32)


def _chunks(counts: Tensor, d: int) -> list[Tensor]:
    """Split the groups into chunks of similar size whose padded tokens fit the workspace."""
    order = torch.argsort(counts, stable=True)
    sizes = counts[order].tolist()
    chunks, begin = [], 0
    for i, size in enumerate(sizes):
        if (i + 1 - begin) * size * d * 4 > WORKSPACE_BYTES and i > begin:
            chunks.append(order[begin:i])
            begin = i
    chunks.append(order[begin:])
    return chunks


def _gather(hidden: Tensor, rows: Tensor, first_row: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Padded (g, m, d) float32 layer-normalised tokens of g groups and the (g, m) float32 mask of real ones."""
    slots = torch.arange(int(counts.max()), device=hidden.device)
    present = slots < counts[:, None]
    index = rows[(first_row[:, None] + slots).clamp(max=len(rows) - 1)]
    tokens = layer_norm(hidden[index.flatten()]).view(*index.shape, -1)
    return tokens.mul_(present[:, :, None]), present.float()


def _top_right_singular_vectors(tokens: Tensor, counts: Tensor, width: int, start: Tensor) -> Tensor:
    """(g, m, d) centred tokens, zero rows as padding -> (g, d, width) basis by block subspace iteration."""
    q = start.shape[1]
    # centred tokens of a group have rank counts - 1 at most: further columns would only amplify rounding
    columns = torch.arange(q, device=tokens.device)
    valid = columns < (counts - 1).clamp(max=q)[:, None]
    basis = start * valid[:, None, :]
    for _ in range(ROUNDS):
        image = _orthonormalize(tokens @ basis, valid)
        basis = _orthonormalize(tokens.mT @ image, valid)
    image64 = (tokens @ basis).double()
    energies, rotation = torch.linalg.eigh(image64.mT @ image64)  # Rayleigh-Ritz
    energies, rotation = energies.flip(-1)[:, :width], rotation.flip(-1)[..., :width]
    noise = ROUNDING_ENERGY * tokens.shape[2] * counts[:, None]
    keep = energies > torch.maximum(RANK_TOLERANCE * energies[:, :1], noise)
    keep &= columns[:width] < (counts - 1)[:, None]
    return (basis.double() @ rotation * keep[:, None, :]).float()


def _orthonormalize(matrix: Tensor, valid: Tensor) -> Tensor:
    """Orthonormal columns of the same span by Cholesky QR in float64; columns that are not valid become zero."""
    matrix64 = matrix.double()
    norm = torch.linalg.vector_norm(matrix64, dim=-2, keepdim=True)
    matrix64 = matrix64 / torch.where(norm > 0, norm, 1.0)
    gram = matrix64.mT @ matrix64
    # the shift keeps the factorization positive when the tokens have a lower rank than there are columns
    gram = gram + torch.diag_embed((~valid | (norm[..., 0, :] == 0)).double() + 1e-13)
    factor, _ = torch.linalg.cholesky_ex(gram)
    q = torch.linalg.solve_triangular(factor, matrix64.mT, upper=False).mT
    return (q * valid[:, None, :]).float()
