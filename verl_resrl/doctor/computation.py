# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Whether the weights come out right on this machine: against float64, and on a GPU the kernel against torch."""

import torch
from torch import Tensor

from verl_resrl.algorithm.config import ResRLConfig
from verl_resrl.algorithm.residual import reference, residual_and_alignment
from verl_resrl.algorithm.subspace import fit_subspaces
from verl_resrl.algorithm.weights import token_weights
from verl_resrl.doctor.finding import NotHere, Problem

TOKENS = 400  # of each of a right and a wrong response
WIDTH, RANK = 64, 8
# hidden size and rank: one for each list of residual_triton.launch_configs
KERNELS = ((64, 8), (2048, 64), (2048, 128))
TOLERANCE = 1e-3  # relative; residuals agree to 1e-5 on the machines that were tried
REPORT = "please open an issue with the output of resrl doctor --json"


def check_weights() -> str:
    """Residuals of the torch path equal those of an exact SVD in float64."""
    hidden = _states(WIDTH, RANK)
    sequence = torch.arange(2).repeat_interleave(TOKENS)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    out = token_weights(
        hidden.to(device),
        sequence.to(device),
        torch.zeros(2, dtype=torch.int64, device=device),
        torch.tensor([True, False], device=device),
        ResRLConfig(rank=RANK),
        backend="torch",
    )
    error = _relative_error(out.residual.cpu()[TOKENS:], _exact_residual(hidden)[TOKENS:])
    if not error <= TOLERANCE:  # NaN too
        raise Problem(f"residuals on {device} differ from float64 by {error:.1e}", REPORT)
    return f"torch on {device} agrees with a float64 SVD to {error:.0e}"


def check_kernel() -> str:
    """On a GPU, the fused kernel compiles and agrees with torch, in every shape that it is launched in."""
    if not torch.cuda.is_available():
        raise NotHere("no GPU: the torch path is used")
    difference = max(compare_kernel(width, rank, "cuda") for width, rank in KERNELS)
    return f"compiles in {len(KERNELS)} shapes, and agrees with torch to {difference:.0e}"


def compare_kernel(width: int, rank: int, device: str) -> float:
    """Compare the fused kernel with torch.

    Args:
        width: hidden size.
        rank: of the subspace.
        device: where to.

    Returns:
        The largest relative difference of residuals and alignments.

    Raises:
        Problem: it does not run, or differs.
    """
    where = f"at hidden size {width} and rank {rank}"
    hidden = _states(width, rank).bfloat16().to(device)
    counts = torch.tensor([TOKENS], device=device)
    subspaces = fit_subspaces(hidden, torch.arange(TOKENS, device=device), counts, rank).subspaces
    rows = torch.arange(TOKENS, 2 * TOKENS, device=device)
    try:
        for _ in range(2):  # where the first launch spills registers, the second takes the shape that stays
            fused = residual_and_alignment(hidden, rows, counts, subspaces, "triton")
    except Exception as error:  # of Triton's compiler, the driver, ...
        raise Problem(
            f"{where} it does not run: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
            "check that Triton is the version that PyTorch asks for (pip check); backend='torch' works without it",
        ) from error
    truth = reference(hidden, rows, counts, subspaces)
    differences = [_relative_error(*pair) for pair in zip(fused, truth, strict=True)]
    for what, difference in zip(("residuals", "alignments"), differences, strict=True):
        if not difference <= TOLERANCE:  # NaN too
            raise Problem(f"{where} its {what} differ from torch's by {difference:.1e}", REPORT)
    return max(differences)


def _states(width: int, rank: int) -> Tensor:
    """(2 * TOKENS, width) float32: a right response near a subspace, and a wrong one partly outside."""
    generator = torch.Generator().manual_seed(0)
    plane = torch.randn(rank, width, generator=generator)
    inside = torch.randn(2 * TOKENS, rank, generator=generator) @ plane
    outside = torch.randn(2 * TOKENS, width, generator=generator)
    outside[:TOKENS] *= 0.05
    return inside + outside


def _exact_residual(hidden: Tensor) -> Tensor:
    """The residual as the paper defines it (arXiv 2605.00380), by an SVD in float64."""
    x = hidden.double()
    x = (x - x.mean(1, keepdim=True)) / (x.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    x = x - x[:TOKENS].mean(0)
    basis = torch.linalg.svd(x[:TOKENS], full_matrices=False).Vh[:RANK]
    return (x - x @ basis.T @ basis).square().mean(1)


def _relative_error(values: Tensor, truth: Tensor) -> float:
    return float(((values.double() - truth.double()).abs() / truth.double()).max())
