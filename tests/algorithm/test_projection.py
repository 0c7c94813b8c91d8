# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""What lies inside and outside a subspace, against float64."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from verl_resrl.algorithm.projection import DIFFERENCE_SHARE, project

D, K = 64, 8


def problem(shares: list[float]) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens of which a given share of the squared length lies outside a subspace, and its basis."""
    generator = torch.Generator().manual_seed(len(shares))
    directions = torch.linalg.qr(torch.randn(D, D, generator=generator, dtype=torch.float64)).Q
    inside = torch.nn.functional.normalize(torch.randn(len(shares), K, generator=generator, dtype=torch.float64))
    outside = torch.nn.functional.normalize(torch.randn(len(shares), D - K, generator=generator, dtype=torch.float64))
    share = torch.tensor(shares, dtype=torch.float64)[:, None]
    x = 100 * ((1 - share).sqrt() * inside @ directions[:K] + share.sqrt() * outside @ directions[K:])
    return x.float(), directions[:K].T.float()


@given(st.lists(st.floats(min_value=1e-7, max_value=1.0), min_size=1, max_size=150))
def test_both_parts_keep_their_digits_whatever_their_share(shares: list[float]) -> None:
    x, basis = problem(shares)
    outside, inside = project(x, basis)
    share = torch.tensor(shares).float()
    torch.testing.assert_close(outside, 1e4 * share, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(inside, 1e4 * (1 - share), rtol=1e-4, atol=1e-2)


def test_rounding_of_a_token_inside_counts_as_nothing() -> None:
    x, basis = problem([0.0, 0.5])
    outside, _ = project(x, basis)
    assert outside[0] == 0 < outside[1]
    outside, inside = project(torch.zeros(2, D), basis)
    assert not torch.cat([outside, inside]).any()


def test_a_token_is_the_same_to_the_bit_whatever_others_are_close_to_the_subspace() -> None:
    x, basis = problem([DIFFERENCE_SHARE / 2] * 200)
    alone = x.clone()
    alone[1:] = torch.randn(199, D, generator=torch.Generator().manual_seed(0))
    assert torch.equal(project(x, basis)[0][0], project(alone, basis)[0][0])
