# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Centred tokens -> their top right singular vectors, by a block Krylov method.

All blocks of (X X^T)^i X start are kept, and one Rayleigh-Ritz step chooses among them: the exactness of a subspace
iteration, which throws away all blocks but the last, from a fraction of its products (Musco, Musco, arXiv 1504.05477,
algorithm 2, here on the side of the tokens). With U the orthonormal blocks, the singular values of X^T U are those
sought, and X^T U is what each round computes anyway on its way to the next block.

A block is kept as rows: both products with X then read X as it lies in memory.
"""

import torch
from torch import Tensor

ROUNDS = 7  # passes over X and X^T
MIN_BLOCK = 32
COLUMNS_AT_A_TIME = ROUNDS * MIN_BLOCK  # brought to float64: no more of it than the Gram matrix of all blocks has
SHIFT = 1e-13  # of a Gram matrix in float64 whose diagonal is 1: keeps it positive where rows depend on each other
SHIFT_FLOAT32 = 1e-6  # the same in float32
DEPENDENT = 0.25  # a row of length 1 is dropped if less of its square is left without the rows before it
# Directions with less of the energy (squared singular value) are rounding noise of float32: relative to the first
# direction, and to the layer-normalised tokens before centring, whose rounding centring brings to the fore.
RANK_TOLERANCE = 1e-10
ROUNDING_ENERGY = 1e-13


def block_size(rank: int) -> int:
    """Rows of a block: half the rank, in whole vectors of 16.

    Args:
        rank: k.
    """
    return max(MIN_BLOCK, -(-rank // 32) * 16)


def num_vectors(rank: int) -> int:
    """Vectors among which the directions of a group are chosen: those of all blocks.

    Args:
        rank: k.
    """
    return ROUNDS * block_size(rank)


def top_right_singular_vectors(tokens: Tensor, counts: Tensor, rank: int) -> Tensor:
    """Find the directions that hold most of the energy of each group's tokens.

    bfloat16 tokens are multiplied as such with float32 sums; everything smaller is in float32, and matrices of no more
    than ``num_vectors`` rows and columns in float64. Where there are no more tokens or dimensions than that, nothing
    is iterated.

    Args:
        tokens: (g, m, d) float32 or bfloat16 centred tokens in random order, with rows of zeros as padding; m is a
            multiple of ``block_size(rank)``.
        counts: (g,) int64, tokens of each group that are no padding.
        rank: k, directions wanted.

    Returns:
        (g, d, min(k, d)) float32, orthonormal columns, the direction of the most energy first; columns of zeros beyond
        the group's own rank.
    """
    d = tokens.shape[2]
    if tokens.shape[1] <= num_vectors(rank):
        candidates = tokens.float()
    elif d <= num_vectors(rank):
        candidates = None
    else:
        candidates = _images_of_blocks(tokens, block_size(rank))
    gram = gram_float64(tokens.mT if candidates is None else candidates)
    energies, rotation = torch.linalg.eigh(gram)
    energies, rotation = energies.flip(-1)[:, :rank], rotation.flip(-1)[..., :rank].mT
    noise = ROUNDING_ENERGY * d * counts[:, None]
    keep = energies > torch.maximum(RANK_TOLERANCE * energies[:, :1], noise)
    keep &= torch.arange(keep.shape[1], device=keep.device) < (counts - 1)[:, None]
    if candidates is None:
        basis = (rotation * keep[..., None]).float()
    else:
        basis = (rotation * torch.where(keep, energies, torch.inf).rsqrt()[..., None]).float() @ candidates
        # of a weak direction, float32 leaves fewer digits of orthogonality than of direction
        basis = _inverse_factor((basis @ basis.mT).double()).float() @ basis
    return torch.nn.functional.pad(basis, (0, 0, 0, min(rank, d) - basis.shape[1])).mT


def _images_of_blocks(tokens: Tensor, block: int) -> Tensor:
    """(g, m, d) X -> (g, q, d) U^T X, with U^T the orthonormal blocks."""
    g, m, d = tokens.shape
    left = tokens.new_empty(g, ROUNDS * block, m, dtype=torch.float32)  # U^T
    right = tokens.new_empty(g, ROUNDS * block, d, dtype=torch.float32)
    parts = tokens.view(g, m // block, block, d)  # tokens are in random order: any signs are random ones
    probe = parts[:, ::2].sum(1, dtype=torch.float32) - parts[:, 1::2].sum(1, dtype=torch.float32)
    for done in range(0, ROUNDS * block, block):
        image = _multiply(tokens, probe.mT).mT.contiguous()
        left[:, done : done + block] = _orthonormal_rows(image, left[:, :done])
        probe = _multiply(left[:, done : done + block], tokens)
        right[:, done : done + block] = probe
    return right


def _multiply(a: Tensor, b: Tensor) -> Tensor:
    """Batched product in float32; if one of the two is bfloat16, the other is rounded to it."""
    if a.dtype == b.dtype:
        return a @ b
    a, b = a.bfloat16(), b.bfloat16()
    if not a.is_cuda:  # no such product there
        return a.float() @ b.float()
    return torch.bmm(a, b, out_dtype=torch.float32)


def _orthonormal_rows(rows: Tensor, others: Tensor) -> Tensor:
    """Orthonormal rows that span with ``others`` what ``rows`` span with them; zeros where these span less.

    Two passes of Gram-Schmidt against ``others`` and Cholesky QR within (Barlow, Smoktunowicz, Numerische Mathematik
    123, 2013, on why twice is enough); the first in float64, since rows of a block differ by orders of magnitude.
    """
    # those but the last two blocks would be orthogonal already, but for the rounding of steep spectra (Lanczos)
    rows = rows - (rows @ others.mT) @ others
    rows = _inverse_factor(gram_float64(rows)).float() @ rows
    rows = rows - (rows @ others.mT) @ others
    gram = rows @ rows.mT
    gram.diagonal(dim1=-2, dim2=-1).add_(SHIFT_FLOAT32)
    factor, _ = torch.linalg.cholesky_ex(gram)
    independent = factor.diagonal(dim1=-2, dim2=-1).square() > DEPENDENT
    # a product with the inverse of a small factor takes a fraction of the time of a solve with many columns
    identity = torch.eye(factor.shape[-1], device=factor.device).expand_as(factor)
    inverse = torch.linalg.solve_triangular(factor, identity, upper=False)
    return (inverse * independent[..., None]) @ rows


def gram_float64(rows: Tensor) -> Tensor:
    """Products of rows with one another in float64, which a part of the columns at a time is brought to.

    Args:
        rows: (g, q, n) float32.

    Returns:
        (g, q, q) float64.
    """
    gram = rows.new_zeros(*rows.shape[:2], rows.shape[1], dtype=torch.float64)
    for part in rows.split(COLUMNS_AT_A_TIME, dim=2):
        part = part.double()
        gram.baddbmm_(part, part.mT)
    return gram


def _inverse_factor(gram: Tensor) -> Tensor:
    """(g, b, b) float64 Gram matrix -> (g, b, b) matrix that makes its rows orthonormal; rows of zeros stay zero."""
    size = gram.diagonal(dim1=-2, dim2=-1)
    scale = torch.where(size > 0, size, 1.0).rsqrt()
    scaled = gram * scale[:, :, None] * scale[:, None, :]
    scaled.diagonal(dim1=-2, dim2=-1).add_(SHIFT)
    factor, _ = torch.linalg.cholesky_ex(scaled)
    return torch.linalg.solve_triangular(factor, torch.diag_embed(scale), upper=False)
