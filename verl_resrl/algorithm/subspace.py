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
ROUNDS = 5  # passes over X and X^T; weights then agree with an exact SVD to 2e-4 on average, each round more to a third
# Directions with less of the energy (squared singular value) are rounding noise of float32: relative to the first
# direction, and to the layer-normalised tokens before centring, whose rounding centring brings to the fore.
RANK_TOLERANCE = 1e-10
ROUNDING_ENERGY = 1e-13


@dataclass(frozen=True)
class Subspaces:
    """The positive subspaces of G groups.

    Attributes:
        centroid: (G, d) float32, mu: mean of the layer-normalised positive tokens.
        basis: (G, d, k) float32, V: orthonormal columns; zero columns beyond a group's own rank.
        rms: (G, d) float32, root mean square of the layer-normalised positive tokens: large in massive dimensions.
    """

    centroid: Tensor
    basis: Tensor
    rms: Tensor


def layer_norm(hidden: Tensor) -> Tensor:
    """Normalise each row to zero mean and unit variance, without affine parameters.

    Args:
        hidden: (..., d) float32 or bfloat16.

    Returns:
        (..., d) float32.
    """
    return torch.nn.functional.layer_norm(hidden.float(), hidden.shape[-1:], eps=LAYER_NORM_EPS)


def take(hidden: Tensor, rows: Tensor) -> Tensor:
    """Copy hidden states to where they are worked on.

    Args:
        hidden: (n, d) hidden states, on the device of ``rows`` or in host memory.
        rows: (m,) int64 indices into ``hidden``.

    Returns:
        (m, d), on the device of ``rows``.
    """
    return hidden[rows.to(hidden.device)].to(rows.device)


def fit_subspaces(
    hidden: Tensor, rows: Tensor, counts: Tensor, rank: int, seed: int, max_workspace_gb: float = 1.0
) -> Subspaces:
    """Fit centroid and basis of every group.

    Args:
        hidden: (n, d) float32 or bfloat16 hidden states, on the device of ``rows`` or in host memory.
        rows: (m,) int64 indices into ``hidden`` of the positive tokens, group after group.
        counts: (G,) int64 number of rows of each group, at least 2.
        rank: k, the largest number of directions.
        seed: seed of the start of the iteration.
        max_workspace_gb: 10^9 bytes that may be used beside the result: groups that need more together are processed
            one chunk after the other. A chunk holds one group at least, whatever it needs.

    Returns:
        Subspaces of the G groups, in their order. On a CPU a group's result is the same to the bit whatever the other
        groups are; on a GPU, where they are padded to one size and multiplied together, to rounding.
    """
    d = hidden.shape[1]
    width = min(rank, d)
    subspaces = Subspaces(
        centroid=torch.zeros(len(counts), d, device=rows.device),
        basis=torch.zeros(len(counts), d, width, device=rows.device),
        rms=torch.zeros(len(counts), d, device=rows.device),
    )
    if not len(counts):
        return subspaces
    start = _start_matrix(d, min(rank + OVERSAMPLING, d), seed).to(rows.device)
    first_row = counts.cumsum(0) - counts
    for chunk in _chunks(counts, d, start.shape[1], max_workspace_gb):
        tokens, present = _gather(hidden, rows, first_row[chunk], counts[chunk])
        centroid = tokens.sum(1, dtype=torch.float64) / counts[chunk, None]
        centroid = centroid.float()
        subspaces.rms[chunk] = torch.linalg.vector_norm(tokens, dim=1) / counts[chunk, None].sqrt()
        tokens.sub_(centroid[:, None]).mul_(present[:, :, None])
        if rows.is_cuda and hidden.dtype == torch.bfloat16:
            tokens = tokens.bfloat16()  # for tensor cores; rounding of centred tokens moves weights by 1e-4 on average
        subspaces.centroid[chunk] = centroid
        subspaces.basis[chunk] = _top_right_singular_vectors(tokens, counts[chunk], width, start)
    return subspaces


def _start_matrix(d: int, q: int, seed: int) -> Tensor:
    """(d, q) float32 Gaussian, the same for every group: a group's result does not depend on its neighbours."""
    return torch.randn(d, q, generator=torch.Generator().manual_seed(seed), dtype=torch.float32)


def _chunks(counts: Tensor, d: int, q: int, max_workspace_gb: float) -> list[Tensor]:
    """Split the groups into chunks of similar size whose padded tokens fit the workspace."""
    order = torch.argsort(counts, stable=True)
    if not counts.is_cuda:  # a CPU gains nothing from more groups at a time
        return list(order.split(1))
    # while gathering: a bfloat16 row, its float32 copy, its normalised form; while iterating: the latter, a float32
    # and three float64 images of the rows and as many of the dimensions
    bytes_of_row = max(10 * d, 4 * d + 28 * q)
    bytes_of_group = 28 * q * d
    chunks, begin = [], 0
    for i, size in enumerate(counts[order].tolist()):
        if (i + 1 - begin) * (size * bytes_of_row + bytes_of_group) > max_workspace_gb * 1e9 and i > begin:
            chunks.append(order[begin:i])
            begin = i
    chunks.append(order[begin:])
    return chunks


def _gather(hidden: Tensor, rows: Tensor, first_row: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Padded (g, m, d) float32 layer-normalised tokens of g groups and the (g, m) float32 mask of real ones."""
    slots = torch.arange(int(counts.max()), device=rows.device)
    present = slots < counts[:, None]
    index = rows[(first_row[:, None] + slots).clamp(max=len(rows) - 1)]
    tokens = layer_norm(take(hidden, index.flatten())).view(*index.shape, -1)
    return tokens.mul_(present[:, :, None]), present.float()


def _top_right_singular_vectors(tokens: Tensor, counts: Tensor, width: int, start: Tensor) -> Tensor:
    """(g, m, d) centred tokens, zero rows as padding -> (g, d, width) basis by block subspace iteration.

    bfloat16 tokens are multiplied as such with float32 sums; everything smaller stays in float32 and float64.
    """
    # centred tokens of a group have rank counts - 1 at most: further columns would only amplify rounding
    q = min(start.shape[1], max(tokens.shape[1] - 1, width))
    start = start[:, :q]
    columns = torch.arange(q, device=tokens.device)
    valid = columns < (counts - 1).clamp(max=q)[:, None]
    basis = start * valid[:, None, :]
    for _ in range(ROUNDS):
        image = _orthonormalize(_multiply(tokens, basis), valid)
        basis = _orthonormalize(_multiply(tokens.mT, image), valid)
    image64 = _multiply(tokens, basis).double()
    energies, rotation = torch.linalg.eigh(image64.mT @ image64)  # Rayleigh-Ritz
    energies, rotation = energies.flip(-1)[:, :width], rotation.flip(-1)[..., :width]
    noise = ROUNDING_ENERGY * tokens.shape[2] * counts[:, None]
    keep = energies > torch.maximum(RANK_TOLERANCE * energies[:, :1], noise)
    keep &= columns[:width] < (counts - 1)[:, None]
    return (basis.double() @ rotation * keep[:, None, :]).float()


def _multiply(tokens: Tensor, matrix: Tensor) -> Tensor:
    """(g, m, d) float32 or bfloat16 times (g, d, q) float32 -> (g, m, q) float32."""
    if tokens.dtype == torch.float32:
        return tokens @ matrix
    if not tokens.is_cuda:  # no such product there
        return tokens.float() @ matrix.bfloat16().float()
    return torch.bmm(tokens, matrix.bfloat16(), out_dtype=torch.float32)


def _orthonormalize(matrix: Tensor, valid: Tensor) -> Tensor:
    """Orthonormal columns of the same span by Cholesky QR in float64; columns that are not valid become zero."""
    matrix64 = matrix.double()
    norm = torch.linalg.vector_norm(matrix64, dim=-2, keepdim=True)
    matrix64 = matrix64 / torch.where(norm > 0, norm, 1.0)
    gram = matrix64.mT @ matrix64
    # the shift keeps the factorization positive when the tokens have a lower rank than there are columns
    gram = gram + torch.diag_embed((~valid | (norm[..., 0, :] == 0)).double() + 1e-13)
    factor, _ = torch.linalg.cholesky_ex(gram)
    # a product with the inverse of the small factor takes a third of the time of a solve with the large matrix
    identity = torch.eye(len(gram[0]), dtype=gram.dtype, device=gram.device).expand_as(gram)
    q = matrix64 @ torch.linalg.solve_triangular(factor, identity, upper=False).mT
    return (q * valid[:, None, :]).float()
