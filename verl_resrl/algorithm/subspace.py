# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Positive tokens of each prompt group -> its centroid (mu) and orthonormal basis (V).

V holds the top-k right singular vectors of the centred, layer-normalised positive tokens (ResRL, arXiv 2605.00380,
eq. for the positive subspace), which ``krylov`` finds.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from verl_resrl.algorithm.krylov import block_size, num_vectors, top_right_singular_vectors
from verl_resrl.algorithm.projection import project
from verl_resrl.algorithm.threads import for_each

LAYER_NORM_EPS = 1e-5
ROWS_AT_A_TIME = 128  # whose sums float32 holds
ROWS_GATHERED = {"cpu": 128}  # and normalised at a time: their copies beside the normalised ones
ROWS_GATHERED_ELSEWHERE = 1024


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


@dataclass(frozen=True)
class Fit:
    """Subspaces, and what is known with them of the tokens that span them.

    Attributes:
        subspaces: of G groups.
        residual: (m,) float32, e of each token; None on a GPU, where tokens are rounded before the fit, and where
            tokens count by their importance.
        alignment: (m,) float32, a; None likewise.
    """

    subspaces: Subspaces
    residual: Tensor | None
    alignment: Tensor | None


def layer_norm(hidden: Tensor) -> Tensor:
    """Normalise each row to zero mean and unit variance, without affine parameters.

    Args:
        hidden: (..., d) float32, bfloat16 or float16.

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
    hidden: Tensor,
    rows: Tensor,
    counts: Tensor,
    rank: int,
    max_workspace_gb: float = 1.0,
    importance: Tensor | None = None,
) -> Fit:
    """Fit centroid and basis of every group.

    Args:
        hidden: (n, d) float32, bfloat16 or float16 hidden states, on the device of ``rows`` or in host memory.
        rows: (m,) int64 indices into ``hidden`` of the positive tokens, group after group, within a group in random
            order: random parts of it start the search for directions.
        counts: (G,) int64 number of rows of each group, at least 2.
        rank: k, the largest number of directions.
        max_workspace_gb: 10^9 bytes that may be used beside the result: groups that need more together are processed
            one chunk after the other. A chunk holds one group at least, whatever it needs.
        importance: (m,) float32, not negative: the layer-normalised tokens are multiplied by it, relative to the
            largest of their group; all alike by default.

    Returns:
        Fit of the G groups, in their order; a group with a state that is not finite has such a centroid and a basis of
        zeros, and its tokens NaN. On a CPU a group's result is the same to the bit whatever the other groups are; on a
        GPU, where they are padded to one size and multiplied together, to rounding.
    """
    d = hidden.shape[1]
    width = min(rank, d)
    subspaces = Subspaces(
        centroid=torch.zeros(len(counts), d, device=rows.device),
        basis=torch.zeros(len(counts), d, width, device=rows.device),
        rms=torch.zeros(len(counts), d, device=rows.device),
    )
    residual = alignment = None
    if rows.device.type == "cpu" and importance is None:
        residual, alignment = torch.empty(len(rows)), torch.empty(len(rows))
    first_row = counts.cumsum(0) - counts

    def fit(chunk: Tensor) -> None:
        tokens, present = _gather(hidden, rows, first_row[chunk], counts[chunk], block_size(rank), importance)
        centroid, subspaces.rms[chunk] = _moments(tokens, counts[chunk])
        tokens.addcmul_(present[:, :, None], centroid[:, None], value=-1)  # rows of zeros stay zeros
        finite = centroid.isfinite().all(1)
        if not finite.all():
            tokens[~finite] = 0.0
        if rows.is_cuda and hidden.dtype == torch.bfloat16:
            tokens = tokens.bfloat16()  # for tensor cores; rounding of centred tokens moves weights by 1e-4 on average
        subspaces.centroid[chunk] = centroid
        subspaces.basis[chunk] = top_right_singular_vectors(tokens, counts[chunk], rank)
        if residual is not None and alignment is not None:  # a chunk is one group
            outside, inside = project(tokens[0], subspaces.basis[chunk][0])
            own = slice(int(first_row[chunk]), int(first_row[chunk] + counts[chunk]))
            count = own.stop - own.start
            residual[own] = torch.where(finite, outside[:count] / d, torch.nan)
            alignment[own] = torch.where(finite, inside[:count], torch.nan)

    largest = bytes_of_fit(int(counts.max()) if len(counts) else 0, d, rank)
    most = max(1, int(max_workspace_gb * 1e9 / largest))
    for_each(fit, _chunks(counts, d, rank, max_workspace_gb), rows.device, most)
    return Fit(subspaces, residual, alignment)


def bytes_of_fit(num_tokens: int, d: int, rank: int) -> int:
    """Bytes that fitting one group takes beside the result.

    Args:
        num_tokens: of the group.
        d: hidden size.
        rank: k.
    """
    vectors = min(num_tokens, d, num_vectors(rank))
    iterated = vectors == num_vectors(rank)
    # the normalised tokens, gathered a few rows at a time; U and U^T X where the method iterates, and a few times a
    # block; small matrices
    rows = (vectors if iterated else 0) + 4 * block_size(rank)
    return 4 * num_tokens * d + 4 * rows * (num_tokens + d) + 40 * vectors**2


def _chunks(counts: Tensor, d: int, rank: int, max_workspace_gb: float) -> list[Tensor]:
    """Split the groups into chunks of similar size whose padded tokens fit the workspace."""
    order = torch.argsort(counts, stable=True)
    if not len(order):
        return []
    if counts.device.type == "cpu":  # it gains nothing from more groups at a time
        return list(order.split(1))
    chunks, begin, exact = [], 0, num_vectors(rank)
    sizes = counts[order].tolist()
    for i, size in enumerate(sizes):
        full = (i + 1 - begin) * bytes_of_fit(size, d, rank) > max_workspace_gb * 1e9
        # small groups are not iterated, whatever their neighbours
        if i > begin and (full or sizes[begin] <= exact < size):
            chunks.append(order[begin:i])
            begin = i
    chunks.append(order[begin:])
    return chunks


def _gather(
    hidden: Tensor, rows: Tensor, first_row: Tensor, counts: Tensor, block: int, importance: Tensor | None
) -> tuple[Tensor, Tensor]:
    """(g, m, d) float32 layer-normalised tokens, m filled up to whole blocks, and (g, m) float32: 1 for real ones."""
    slots = torch.arange(-(-int(counts.max()) // block) * block, device=rows.device)
    present = slots < counts[:, None]
    place = first_row[:, None] + slots * present  # elsewhere a token of the same group
    index, factor = rows[place], present.float()
    if importance is not None:
        factor = factor * importance[place]
        factor = factor / factor.amax(1, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)
    tokens = torch.empty(index.numel(), hidden.shape[1], device=rows.device)
    size = ROWS_GATHERED.get(rows.device.type, ROWS_GATHERED_ELSEWHERE)
    for part, own in zip(tokens.split(size), index.flatten().split(size), strict=True):
        part.copy_(layer_norm(take(hidden, own)))
    return tokens.view(*index.shape, -1).mul_(factor[:, :, None]), present.float()


def _moments(tokens: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """(g, m, d) tokens with rows of zeros as padding -> (g, d) float32 their mean and root mean square."""
    parts = tokens.split(ROWS_AT_A_TIME, 1)
    total = sum(part.sum(1).double() for part in parts)
    squares = sum(part.square().sum(1).double() for part in parts)
    return (total / counts[:, None]).float(), (squares / counts[:, None]).sqrt().float()
