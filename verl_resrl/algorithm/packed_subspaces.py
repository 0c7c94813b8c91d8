# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Subspaces -> the form that the Triton kernel of ``residual_triton`` reads.

V becomes the sum of two bfloat16 matrices, which tensor cores multiply, and the few massive dimensions (activations
thousands of times larger than the rest, arXiv 2402.17762) are set apart, to be treated in float32.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from verl_resrl.algorithm.krylov import gram_float64
from verl_resrl.algorithm.subspace import Subspaces

NUM_MASSIVE = 16  # most dimensions of a group that are treated as massive
MASSIVE_ABOVE = 5.0  # root mean square over layer-normalised tokens, which is 1 on average over dimensions
FACTOR_SHIFT = 1e-14  # keeps the factorization positive where V spans the massive dimensions


@dataclass(frozen=True)
class PackedSubspaces:
    """G subspaces in the form that the kernel reads: d filled up to D and k to K with zeros.

    Attributes:
        basis: (G, 2, D, K) bfloat16, V without its massive dimensions as the sum of two matrices.
        centroid: (G, D) float32, mu less its mean over kept dimensions, 0 in massive ones.
        kept: (G, D) float32, 0 in massive dimensions, else 1.
        kept_sums: (G, 3) float32: number of kept dimensions, mean of their mu, sum of the squares of ``centroid``.
        corrections: (G, 2, K) float32: V^T 1 and V^T centroid over kept dimensions.
        massive: (G, 16) int32, massive dimensions, -1 where there are fewer.
        massive_centroid: (G, 16) float32, mu in them.
        massive_basis: (G, 16, K) float32, V_m C, 0 where there are fewer.
        massive_factor: (G, 16, 16) float32, L.
    """

    basis: Tensor
    centroid: Tensor
    kept: Tensor
    kept_sums: Tensor
    corrections: Tensor
    massive: Tensor
    massive_centroid: Tensor
    massive_basis: Tensor
    massive_factor: Tensor


def pack(subspaces: Subspaces, columns: int, dims: int) -> PackedSubspaces:
    """Bring subspaces into the form that the kernel reads.

    Args:
        subspaces: of G groups.
        columns: K.
        dims: D, at least d; what is beyond d is neither kept nor massive.
    """
    d, k = subspaces.basis.shape[1:]
    basis = torch.nn.functional.pad(subspaces.basis, (0, columns - k, 0, dims - d))
    centroid = torch.nn.functional.pad(subspaces.centroid, (0, dims - d))
    size, massive = subspaces.rms.topk(min(NUM_MASSIVE, d), dim=1)
    massive = torch.where(size > MASSIVE_ABOVE, massive, -1)
    massive = torch.nn.functional.pad(massive, (0, NUM_MASSIVE - massive.shape[1]), value=-1)
    # one more index stands for "none" and is cut off again
    kept = (torch.arange(dims + 1, device=centroid.device) < d).float().repeat(len(centroid), 1)
    kept = kept.scatter_(1, torch.where(massive >= 0, massive, dims), 0.0)[:, :dims].contiguous()
    kept_basis = basis * kept[:, :, None]
    num_kept = kept.sum(1, keepdim=True)
    level = ((centroid * kept).sum(1, keepdim=True, dtype=torch.float64) / num_kept).float()
    kept_centroid = (centroid - level) * kept
    high = kept_basis.bfloat16()
    low = (kept_basis - high.float()).bfloat16()
    rounded = high.float() + low.float()  # exactly: 17 bits
    rows = torch.cat([rounded.mT, torch.ones_like(centroid)[:, None], kept_centroid[:, None]], 1)
    products = gram_float64(rows)  # of V, 1 and mu with one another
    read = massive.clamp_min(0)
    massive_basis = basis.gather(1, read[:, :, None].expand(-1, -1, basis.shape[2])) * (massive >= 0)[:, :, None]
    gram = products[:, :columns, :columns] + massive_basis.mT.double() @ massive_basis.double()
    crossed = massive_basis.double() @ (2 * torch.eye(len(gram[0]), dtype=gram.dtype, device=gram.device) - gram)
    form = torch.eye(NUM_MASSIVE, dtype=gram.dtype, device=gram.device) * (1 + FACTOR_SHIFT)
    form = form - crossed @ massive_basis.mT.double()
    return PackedSubspaces(
        basis=torch.stack([high, low], 1),
        centroid=kept_centroid,
        kept=kept,
        kept_sums=torch.cat([num_kept, level, products[:, -1, -1:].float()], 1),
        corrections=products[:, columns:, :columns].float().contiguous(),
        massive=massive.int(),
        massive_centroid=centroid.gather(1, read),
        massive_basis=crossed.float(),
        massive_factor=torch.linalg.cholesky_ex(form).L.float().contiguous(),  # it comes column by column
    )
