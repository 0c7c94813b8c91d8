# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""NTHR by hand: threshold from the positive responses, factor from their share."""

import pytest
import torch
from torch import Tensor

from verl_resrl import ResRLConfig, token_weights

SEQUENCE = torch.tensor([0, 0, 1, 1, 1, 2, 2, 2, 3])
POSITIVE = torch.tensor([True, True, False, False])
# means of the positive responses: 2 and 4
SCORE = torch.tensor([1.0, 3.0, 0.0, 4.0, 8.0, 1.9, 2.1, 7.0, 3.9])


def weights(config: ResRLConfig, score: Tensor = SCORE, positive: Tensor = POSITIVE) -> list[float]:
    hidden = torch.randn(9, 5, generator=torch.Generator().manual_seed(0))
    group = torch.zeros(len(positive), dtype=torch.int64)
    return token_weights(hidden, SEQUENCE, group, positive, config, interference=score).weights.tolist()


def test_tokens_above_the_smallest_mean_lose_their_penalty() -> None:
    assert weights(ResRLConfig(weighting="nthr")) == [1, 1, 1, 1, 1, 1, 0, 0, 0]  # half are right: eta is 0


@pytest.mark.parametrize(("beta", "above"), [(0.5, [0, 0, 0]), (1.5, [1, 1, 0]), (4.0, [1, 1, 1])])
def test_beta_moves_the_threshold(beta: float, above: list[int]) -> None:
    assert weights(ResRLConfig(weighting="nthr", beta=beta))[5:8] == above


def test_a_lopsided_group_keeps_more_of_the_penalty() -> None:
    """A response without a token that counts, such as the fifth one, is still a response."""
    positive = torch.tensor([True, True, False, False, False])
    result = weights(ResRLConfig(weighting="nthr"), positive=positive)
    assert result[5:] == pytest.approx([1, 0.2, 0.2, 0.2])  # p = 2/5


def test_a_score_is_needed_and_one_that_is_missing_is_not_guessed() -> None:
    with pytest.raises(ValueError, match="weighting='nthr' needs interference"):
        weights(ResRLConfig(weighting="nthr"), score=None)  # type: ignore[arg-type]
    unknown = SCORE.clone()
    unknown[4] = torch.nan
    assert weights(ResRLConfig(weighting="nthr"), score=unknown) == [1.0] * 9
    assert weights(ResRLConfig(weighting="interference"), score=unknown) == [1.0] * 9
