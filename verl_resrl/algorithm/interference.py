# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Interference: what pushing a token down does to the right responses of its group, to first order in the output head.

The gradients of two tokens with respect to the head factor (see ``lld``), so that with x the input of the head, p the
old policy's distribution, delta = p - onehot(token), and s the positive tokens of the group of token t,

    I_t = sum_s <delta_s, delta_t> <x_s, x_t> = delta_t^T M x_t        M = sum_s delta_s x_s^T   (vocabulary, d)

is what one unit of push on t takes from the group's positive log-likelihood: I_t > 0 hurts, I_t < 0 helps. It is the
score of NTHR (arXiv 2505.18830). Two things keep it small: delta holds the most likely tokens and the token itself,
and M, which ``error_matrix`` sums up over all ranks, is known in directions that the positive x span, above all those
of tokens with a large error.
"""

import torch
from torch import Tensor

from verl_resrl.algorithm.arguments import check_tensor, tokens_of
from verl_resrl.algorithm.config import ResRLConfig
from verl_resrl.algorithm.error_matrix import BYTES_OF_ENTRY, ErrorMatrix, chunks_of_groups
from verl_resrl.algorithm.exchange import Exchange
from verl_resrl.algorithm.groups import active_groups, non_finite_groups
from verl_resrl.algorithm.shared_subspaces import subspaces_of_groups
from verl_resrl.algorithm.subspace import Subspaces, take
from verl_resrl.algorithm.threads import for_each
from verl_resrl.algorithm.tokens import Tokens

# of one shape whatever the number of tokens, so that on a CPU a token's bits do not depend on its neighbours
ROWS_PER_BLOCK = {"cpu": 256}
ROWS_PER_BLOCK_ELSEWHERE = 4096
VECTOR = 16  # matrices are filled up to whole vectors, likewise
SMALLEST_CENTROID = 1e-6  # of its length: less than that outside of the other directions is rounding


def interference(
    head_inputs: Tensor,
    token_ids: Tensor,
    top_ids: Tensor,
    top_probs: Tensor,
    sequence_ids: Tensor,
    group_ids: Tensor,
    is_positive: Tensor,
    config: ResRLConfig | None = None,
    seed: int = 0,
    exchange: Exchange | None = None,
    token_keys: Tensor | None = None,
    top_slopes: Tensor | None = None,
) -> Tensor:
    """Compute the interference I of every response token (NTHR's score, arXiv 2505.18830).

    Args:
        head_inputs: (num_tokens, d) float32, bfloat16 or float16: the input of the output head at the position that
            predicts the token, after the final norm. May lie in host memory while the other tensors lie on a GPU.
        token_ids: (num_tokens,) int64, the tokens.
        top_ids: (num_tokens, m) int64, the m tokens that were most likely, each once. With m the vocabulary's size
            nothing is left out.
        top_probs: (num_tokens, m) float32, their probabilities. A token outside of its top m counts with probability
            0, which is wrong by less than 1 / m.
        sequence_ids: (num_tokens,) int64, the sequence of each token, in any order.
        group_ids: (num_sequences,) int64, the prompt group of each sequence.
        is_positive: (num_sequences,) bool, whether the sequence is correct.
        config: settings; ``rank`` directions, from ``max_positive_tokens`` positive tokens at most, beside the
            centroid and the mean over dimensions. M itself is a sum over all of the group's positive tokens.
        seed: of the choice of positive tokens and of the start of the iteration.
        exchange: to the ranks that hold the rest of the batch, as in ``token_weights``; on a CPU the result is the same
            to the bit on any number of ranks and in any order.
        token_keys: (num_tokens,) int64, identity of each token, as in ``token_weights``.
        top_slopes: (num_tokens, m) float32 in [0, 1], derivative of the logits by what the head puts out, where the
            model caps them (Gemma); 1 by default.

    Returns:
        (num_tokens,) float32; NaN in groups without right and wrong responses, with fewer than
        ``min_positive_tokens`` positive tokens, or with inputs that are not finite.

    Raises:
        NonFiniteError: an input is not finite, and ``config.on_failure`` is "stop"; raised on every rank.
        ValueError: a shape or dtype is wrong.
    """
    config = ResRLConfig() if config is None else config
    exchange = Exchange() if exchange is None else exchange
    tokens, _ = tokens_of(
        head_inputs, sequence_ids, group_ids, is_positive, token_keys, config, exchange, name="head_inputs"
    )
    n, m = len(head_inputs), top_ids.shape[-1]
    check_tensor("token_ids", token_ids, (n,), torch.int64)
    check_tensor("top_ids", top_ids, (n, "m"), torch.int64)
    check_tensor("top_probs", top_probs, (n, m), torch.float32)
    if top_slopes is not None:
        check_tensor("top_slopes", top_slopes, (n, m), torch.float32)
    usable = _finite(tokens, top_probs, sequence_ids, config, exchange)
    usable &= active_groups(tokens.group, tokens.positive, tokens.num_groups, config, exchange)
    result = torch.full((n,), torch.nan, device=token_ids.device)
    if not usable.any():
        return result
    tokens = tokens.of_groups(usable)
    ids, errors = prediction_errors(token_ids, top_ids, top_probs, top_slopes)
    result[tokens.row] = _scores(tokens, ids[tokens.row], errors[tokens.row], config, seed, exchange)
    return result


def prediction_errors(
    token_ids: Tensor, top_ids: Tensor, top_probs: Tensor, top_slopes: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Sparse delta = p - onehot(token) of each token; arguments as in ``interference``.

    Returns:
        (num_tokens, m + 1) int64 tokens, the last one the token itself, and (num_tokens, m + 1) float32 errors.
    """
    own = top_ids == token_ids[:, None]
    errors = top_probs - own.float()
    if top_slopes is not None:
        errors = errors * top_slopes
    outside = own.any(1).float() - 1.0  # -1 where the token is not among them
    return torch.cat([top_ids, token_ids[:, None]], 1), torch.cat([errors, outside[:, None]], 1)


def _finite(tokens: Tokens, top_probs: Tensor, sequence_ids: Tensor, config: ResRLConfig, exchange: Exchange) -> Tensor:
    """(num_groups,) bool: groups all of whose head inputs and probabilities are finite."""
    probabilities = Tokens(top_probs, tokens.row, tokens.group, tokens.positive, tokens.key, tokens.num_groups)
    bad = non_finite_groups(tokens, sequence_ids, config, exchange, "head inputs")
    return ~(bad | non_finite_groups(probabilities, sequence_ids, config, exchange, "probabilities"))


def _scores(tokens: Tokens, ids: Tensor, errors: Tensor, config: ResRLConfig, seed: int, exchange: Exchange) -> Tensor:
    """I of the tokens of active groups, which come group after group, with their (n, m + 1) sparse errors."""
    # a token of which the model was sure adds next to nothing to M: no direction is spent on it
    fitted = subspaces_of_groups(tokens, config, seed, exchange, errors.abs().amax(1))
    counts = tokens.counts()
    size = ROWS_PER_BLOCK.get(ids.device.type, ROWS_PER_BLOCK_ELSEWHERE)
    coordinates = _coordinates(tokens, counts[fitted.present], _directions(fitted.subspaces), size)
    scores = torch.empty(len(ids), device=ids.device)
    end = counts.cumsum(0)
    # a CPU gains nothing from more groups at a time
    on_cpu = ids.device.type == "cpu"
    limit = 0.0 if on_cpu else config.max_workspace_gb * 1e9 / (BYTES_OF_ENTRY * coordinates.shape[1])
    for first, last in chunks_of_groups(tokens, ids, limit, exchange):
        own = slice(int(end[first] - counts[first]), int(end[last - 1]))
        parts = tokens.group[own], ids[own], errors[own], coordinates[own], tokens.positive[own]
        scores[own] = ErrorMatrix(*parts, tokens.num_groups, size, exchange).scores()
    return scores


def _directions(subspaces: Subspaces) -> Tensor:
    """(G, d, k + 2) float32 orthonormal columns that span the positive head inputs.

    The subspace is that of layer-normalised states LN(x) = (x - mean) / deviation, each times its importance, so that
    x itself lies in the span of V, of the centroid and of the vector of ones, which is orthogonal to both.
    """
    basis, centroid = subspaces.basis.double(), subspaces.centroid.double()[..., None]
    rest = centroid - basis @ (basis.mT @ centroid)
    length, whole = (torch.linalg.vector_norm(vector, dim=1, keepdim=True) for vector in (rest, centroid))
    rest = torch.where(length > SMALLEST_CENTROID * whole, rest / length.clamp_min(1e-300), 0.0)
    ones = torch.full_like(rest, rest.shape[1] ** -0.5)
    return torch.cat([basis, rest, ones], 2).float()


def _coordinates(tokens: Tokens, counts: Tensor, directions: Tensor, size: int) -> Tensor:
    """(n, k + 2) float32 coordinates of the head inputs in their groups' directions, in blocks of ``size`` rows."""
    d, k = directions.shape[1:]
    result = torch.empty(len(tokens.row), k, device=tokens.row.device)
    ends = counts.cumsum(0).tolist()

    def project(group: int) -> None:
        columns = torch.nn.functional.pad(directions[group], (0, -k % VECTOR, 0, -d % VECTOR))
        begin = ends[group - 1] if group else 0
        for first in range(begin, ends[group], size):
            last = min(first + size, ends[group])
            x = columns.new_zeros(size, len(columns))
            x[: last - first, :d] = take(tokens.hidden, tokens.row[first:last])
            result[first:last] = (x @ columns)[: last - first, :k]

    for_each(project, range(len(ends)), result.device)
    return result
