# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The unbiased estimator of Pass@k (Chen et al., arXiv 2107.03374, eq. 1)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def pass_at_k(num_samples: ArrayLike, num_correct: ArrayLike, k: int) -> NDArray[np.float64]:
    """Estimate per problem the probability that at least one of k samples is correct.

    ``1 - C(n - c, k) / C(n, k)`` in its stable product form, ``1 - prod_{i = n-c+1..n} (1 - k / i)``: no binomial
    coefficient is ever formed, so nothing overflows.

    Args:
        num_samples: n, samples drawn per problem: one integer, or one for each problem.
        num_correct: (num_problems,) integers c, how many of them are correct.
        k: how many samples one may try, 1 <= k <= n.

    Returns:
        (num_problems,) float64 in [0, 1]; the mean over problems is the Pass@k to report.

    Raises:
        ValueError: k < 1, k > n, c < 0 or c > n; the message names the first problem concerned.
    """
    correct = np.atleast_1d(np.asarray(num_correct))
    total = np.broadcast_to(np.asarray(num_samples), correct.shape)
    for name, values in (("num_samples", total), ("num_correct", correct)):
        if values.size and not np.issubdtype(values.dtype, np.integer):
            raise ValueError(f"Pass@k: {name} must be integers, not {values.dtype}")
    if k < 1:
        raise ValueError(f"Pass@k: k={k} must be at least 1")
    _refuse(total < k, total, correct, f"k={k} is larger than the number of samples")
    _refuse(correct < 0, total, correct, "a negative number of correct samples")
    _refuse(correct > total, total, correct, "more correct samples than samples")
    if not correct.size:
        return np.zeros(0)
    offset = np.arange(correct.max(initial=0))
    used = offset < correct[:, None]
    i = np.where(used, total[:, None] - offset, 1)
    return 1.0 - np.where(used, 1.0 - k / i, 1.0).prod(axis=1)


def powers_of_two(num_samples: int) -> list[int]:
    """1, 2, 4, ...: the k at which Pass@k is usually reported.

    Args:
        num_samples: n, the largest possible k.
    """
    return [2**i for i in range(num_samples.bit_length())]


def _refuse(wrong: NDArray[np.bool_], total: NDArray, correct: NDArray, reason: str) -> None:
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(f"Pass@k: {reason} (problem {row}: {total[row]} samples, {correct[row]} correct)")
