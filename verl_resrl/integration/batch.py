# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""One batch of verl -> who is positive, which group a sequence is in, which tokens matter; and weights back."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from tensordict import TensorDict
from torch import Tensor

from verl_resrl.algorithm.advantage import is_positive
from verl_resrl.algorithm.config import ResRLConfig
from verl_resrl.algorithm.exchange import Exchange
from verl_resrl.algorithm.groups import active_groups
from verl_resrl.algorithm.sampling import hash64

PADDING_UID_PREFIX = "pad"  # of the rows that verl appends to make a batch divisible


@dataclass(frozen=True)
class Batch:
    """What ResRL needs to know of a batch before its forward pass; all on the CPU.

    Attributes:
        group_ids: (num_sequences,) int64 prompt group of each sequence, numbered 0, 1, ... over all ranks.
        padding: (num_sequences,) bool, rows that verl appended.
        positive: (num_sequences,) bool.
        wanted: (num_response_tokens,) bool over all sequences one after the other: tokens that the model generated
            and whose group is active.
        active: (num_groups,) bool, groups of all ranks.
        prompt_lengths: (num_sequences,) int64.
        response_lengths: (num_sequences,) int64.
        sequence_keys: (num_sequences,) int64, identity of each sequence: a hash of its tokens.
    """

    group_ids: Tensor
    padding: Tensor
    positive: Tensor
    wanted: Tensor
    active: Tensor
    prompt_lengths: Tensor
    response_lengths: Tensor
    sequence_keys: Tensor


def read_batch(data: TensorDict, config: ResRLConfig, exchange: Exchange) -> Batch:
    """Read a batch as verl's ``compute_log_prob`` pass hands it to a worker.

    Args:
        data: has the fields uid, prompts, responses, response_mask, rm_scores and input_ids (jagged).
        config: settings.
        exchange: to the ranks that hold the rest of the batch.

    Returns:
        Batch.

    Raises:
        ValueError: a reward is not finite; raised on every rank.
    """
    uids = [str(uid) for uid in data["uid"]]
    uid_hashes = torch.tensor([hash_of_text(uid) for uid in uids])
    all_groups = torch.unique(exchange.gather(torch.unique(uid_hashes)))
    group_ids = torch.searchsorted(all_groups, uid_hashes)
    scores = outcome_scores(data)
    _check_finite(scores, uids, exchange)
    positive = is_positive(scores, config.positive_threshold)
    prompt_lengths = data["prompts"].offsets().diff().cpu()
    response_lengths = data["response_mask"].offsets().diff().cpu()

    sequence = torch.repeat_interleave(torch.arange(len(uids)), response_lengths)
    generated = data["response_mask"].values().bool().cpu()
    group = group_ids[sequence]
    active = active_groups(group[generated], positive[sequence[generated]], len(all_groups), config, exchange)
    return Batch(
        group_ids=group_ids,
        padding=torch.tensor([uid.startswith(PADDING_UID_PREFIX) for uid in uids]),
        positive=positive,
        wanted=generated & active[group],
        active=active,
        prompt_lengths=prompt_lengths,
        response_lengths=response_lengths,
        sequence_keys=_sequence_keys(data),
    )


def _check_finite(scores: Tensor, uids: Sequence[str], exchange: Exchange) -> None:
    bad = (~scores.isfinite()).nonzero()[:, 0].tolist()
    total = int(exchange.sum(torch.tensor([len(bad)])))
    if total:
        here = f"; here: {float(scores[bad[0]])} of a response to prompt {uids[bad[0]]}" if bad else ""
        raise ValueError(
            f"ResRL: the reward of {total} responses is not finite{here}; make the reward function return a finite "
            "number for every response"
        )


def outcome_scores(data: TensorDict) -> Tensor:
    """Outcome score of each sequence of a batch, (num_sequences,) float32 on the CPU."""
    return torch.stack([row.sum() for row in data["rm_scores"].unbind()]).float().cpu()


def positive_tokens(data: TensorDict, threshold: float) -> Tensor:
    """Tell which response tokens are of positive sequences.

    Args:
        data: has the jagged fields rm_scores and response_mask.
        threshold: a sequence is positive when its outcome score is above.

    Returns:
        (num_response_tokens,) bool on the CPU, sequence after sequence.
    """
    lengths = data["response_mask"].offsets().diff().cpu()
    return torch.repeat_interleave(is_positive(outcome_scores(data), threshold), lengths)


def hash_of_text(text: str) -> int:
    """Turn a text into 64 bits that are the same in every process; Python's own ``hash`` is not.

    Args:
        text: such as a uid.
    """
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big", signed=True)


def _sequence_keys(data: TensorDict) -> Tensor:
    """Hash the tokens of each sequence: the same on any rank, in any order, in any repetition of the run.

    Equal responses to one prompt share their keys, and it does not matter which of them is taken: their hidden states
    are equal too. verl's own names of a row would not do: a uid is random, and which of a prompt's rollouts receives
    which sample depends on the order in which requests arrive.
    """
    lengths = data["input_ids"].offsets().diff().cpu()
    tokens = data["input_ids"].values().long().cpu()
    sequence, position = _sequence_and_position(lengths)
    token_keys = hash64(tokens, position)
    return torch.zeros(len(lengths), dtype=torch.int64).index_add_(0, sequence, token_keys)


def _sequence_and_position(lengths: Tensor) -> tuple[Tensor, Tensor]:
    sequence = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
    first = lengths.cumsum(0) - lengths
    return sequence, torch.arange(len(sequence)) - first[sequence]


def response_values(rows: Sequence[Tensor], prompt_lengths: Tensor, response_lengths: Tensor) -> Tensor:
    """Take what the model said about each response token out of values of whole sequences.

    Args:
        rows: (length,) values of each sequence, such as verl's ``log_probs`` and ``entropy``: the value for a token is
            at the position that predicts it.
        prompt_lengths: (num_sequences,) int64.
        response_lengths: (num_sequences,) int64.

    Returns:
        (num_response_tokens,) float32 on the CPU, sequence after sequence.
    """
    lengths = zip(rows, prompt_lengths.tolist(), response_lengths.tolist(), strict=True)
    parts = [row[prompt - 1 : prompt - 1 + response] for row, prompt, response in lengths]
    return torch.cat(parts).float().cpu() if parts else torch.zeros(0)


def per_response_token(values: Tensor, batch: Batch, fill: float) -> Tensor:
    """Put values of the wanted tokens back among all response tokens.

    Args:
        values: (num_wanted,) float32.
        batch: of the tokens.
        fill: value of the other tokens.

    Returns:
        Jagged (num_sequences, response length) float32 on the CPU.
    """
    everything = torch.full((len(batch.wanted),), fill, dtype=torch.float32)
    everything[batch.wanted] = values.cpu()
    rows = everything.split(batch.response_lengths.tolist())
    # verl pads jagged tensors by their rows; one made from values and offsets would pad to the wrong length
    return torch.nested.as_nested_tensor(list(rows), layout=torch.jagged)
