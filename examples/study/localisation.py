# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Do weights find the mistake? They should be high where a wrong response went wrong, and low before.

For a task whose verifier knows the first wrong token of a response, such as ``countdown_fatal``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import mannwhitneyu


@dataclass(frozen=True)
class Localisation:
    """How well weights find the first wrong tokens of a set of wrong responses.

    Attributes:
        first_auc: area under the ROC curve: the chance that the first wrong token of some response has a higher weight
            than some other token, ties counted half; 1 if it always has, 0.5 for weights that know nothing. NaN if
            there are no other tokens.
        after_auc: the chance that a token after the first wrong one has a higher weight than a token before it. NaN
            if there are none of either kind.
        num_responses: responses that have their first wrong token among their tokens.
    """

    first_auc: float
    after_auc: float
    num_responses: int


def localise(weights: Sequence[ArrayLike], first_wrong: Sequence[int]) -> Localisation:
    """Hold the weights of wrong responses against the place of their first wrong token.

    Tokens of all responses are pooled, so that long responses count for more. Position alone may do well in
    ``after_auc``: compare with ``localise([np.arange(len(w)) for w in weights], first_wrong)``.

    Args:
        weights: of each wrong response, (num_tokens,) finite numbers.
        first_wrong: index of each response's first wrong token; a response in which it is not among the tokens
            (index num_tokens: cut off before it went wrong) is left out.

    Raises:
        ValueError: nothing to compare, or an index or weight that cannot be.
    """
    before, first, after = [], [], []
    for row, (values, index) in enumerate(zip(weights, first_wrong, strict=True)):
        array = np.asarray(values, dtype=np.float64)
        if array.ndim != 1 or not np.isfinite(array).all():
            raise ValueError(f"localisation: weights of response {row} must be (num_tokens,) finite numbers")
        if not 0 <= index <= len(array):
            raise ValueError(f"localisation: first_wrong[{row}]={index} must be in [0, {len(array)}]")
        if index < len(array):
            before.append(array[:index])
            first.append(array[index])
            after.append(array[index + 1 :])
    if not first:
        raise ValueError("localisation: no response has its first wrong token among its tokens")
    others = np.concatenate(before + after)
    return Localisation(
        first_auc=area_under_curve(np.array(first), others),
        after_auc=area_under_curve(np.concatenate(after), np.concatenate(before)),
        num_responses=len(first),
    )


def area_under_curve(positive: NDArray[np.float64], negative: NDArray[np.float64]) -> float:
    """Area under the ROC curve of scores that should be higher for positives: U / (n1 n2) of Mann and Whitney.

    Args:
        positive: (n1,) scores.
        negative: (n2,) scores.

    Returns:
        In [0, 1]; NaN if either is empty.
    """
    if not len(positive) or not len(negative):
        return float("nan")
    u = mannwhitneyu(positive, negative, method="asymptotic").statistic
    return float(u / (len(positive) * len(negative)))


def token_of_character(character: int, token_texts: Sequence[str]) -> int:
    """Find the token that has a character of the text.

    Args:
        character: index in [0, length of the text]; the length itself stands for the end of the text.
        token_texts: text of each token; that of a special token, as the one that ends a response, is "".

    Returns:
        Index of the token, in [0, num_tokens]. For the end of the text, the first special token behind the text, or
        num_tokens if there is none.

    Raises:
        ValueError: the text is shorter than that.
    """
    ends = np.cumsum([len(text) for text in token_texts])
    length = int(ends[-1]) if len(ends) else 0
    if not 0 <= character <= length:
        raise ValueError(f"localisation: character {character} must be in [0, {length}], the length of the text")
    if character < length:
        return int(np.searchsorted(ends, character, side="right"))
    return int(np.searchsorted(ends, length, side="left")) + 1 if length else 0
