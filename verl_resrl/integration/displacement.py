# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Lazy Likelihood Displacement of a batch, measured: its positive sequences before and after the update.

verl has no pass after an update, and drops the metrics of the pass before it. So the positive sequences wait here from
the old_log_prob pass, which has their old log-probabilities, until the engine has made the last optimizer step on the
batch and runs them once more.
"""

from dataclasses import dataclass

import torch
from tensordict import TensorDict
from torch import Tensor
from verl.utils import tensordict_utils as tu

from verl_resrl.algorithm.exchange import Exchange
from verl_resrl.algorithm.lld import lld_proxy, means, rank_correlation
from verl_resrl.integration.batch import Batch, response_values
from verl_resrl.integration.batch_weights import Weighed


@dataclass(frozen=True)
class Positives:
    """The positive sequences of the groups that are to get weights.

    Attributes:
        rows: (n,) int64 in the batch.
        data: rows to run through the updated model: these, and as many others behind them as it takes for every rank
            to make the same number of forward passes.
    """

    rows: Tensor
    data: TensorDict


def positives(data: TensorDict, batch: Batch, exchange: Exchange) -> Positives:
    """Select them, on every process that takes part in the forward pass.

    Args:
        data: the batch of this rank, after its old_log_prob pass.
        batch: what ``read_batch`` made of it.
        exchange: to the ranks that hold the rest of the batch.
    """
    has_tokens = torch.tensor([bool(row.any()) for row in batch.wanted.split(batch.response_lengths.tolist())])
    rows = (batch.positive & has_tokens & batch.active[batch.group_ids]).nonzero()[:, 0]
    return Positives(rows, _select(data, rows, exchange))


class Displacement:
    """What the old policy said of the positive sequences, and what the displacement is held against.

    Args:
        of: the positive sequences.
        batch: what ``read_batch`` made of the batch.
        sequence_ids: (num_tokens,) int64 sequence of each wanted token.
        weighed: weights of the wanted tokens, and their interference.
        log_probs: jagged (num_sequences, length) under the old policy.
        exchange: to the ranks that hold the rest of the batch.
    """

    def __init__(
        self,
        of: Positives,
        batch: Batch,
        sequence_ids: Tensor,
        weighed: Weighed,
        log_probs: Tensor,
        exchange: Exchange,
    ) -> None:
        self._active = weighed.out.active.cpu()
        generated = batch.wanted.split(batch.response_lengths.tolist())
        rows = of.rows
        self._groups = batch.group_ids[rows]
        self._prompt_lengths, self._response_lengths = batch.prompt_lengths[rows], batch.response_lengths[rows]
        self._generated = torch.cat([generated[row] for row in rows] or [torch.zeros(0, dtype=torch.bool)])
        self._old = self._mean_log_probs([log_probs[row] for row in rows.tolist()])

        negative, groups = ~batch.positive[sequence_ids], batch.group_ids[sequence_ids]
        scores = {"": weighed.out.alignment, "_interference": weighed.interference}
        self._proxies = {
            name: lld_proxy(score.cpu(), negative, groups, len(self._active), exchange)[self._active]
            for name, score in scores.items()
            if score is not None
        }

    def metrics(self, log_probs: Tensor, exchange: Exchange) -> dict[str, float]:
        """Compare with the log-probabilities under the updated policy.

        Args:
            log_probs: jagged (num_rows, length), of ``data``.
            exchange: to the ranks that hold the rest of the batch.

        Returns:
            ``resrl/lld_proxy``: mean alignment of a group's negative tokens; ``resrl/lld_measured``: mean
            log pi_new - log pi_old over the response tokens of a positive sequence, over the positive sequences of a
            group; both averaged over the groups that got weights. ``resrl/lld_rank_correlation``: Spearman's, over
            these groups, between the proxy and the measured drop (minus the change), and
            ``resrl/lld_rank_correlation_interference`` with mean interference, where that was computed, as the proxy;
            absent where it is not defined. Nothing if no group got weights.
        """
        if not self._active.any():
            return {}
        new = self._mean_log_probs(list(log_probs.unbind())[: len(self._groups)])
        change = means(new - self._old, self._groups, len(self._active), exchange)[self._active]
        result = {"resrl/lld_proxy": self._proxies[""].mean().item(), "resrl/lld_measured": change.mean().item()}
        for name, proxy in self._proxies.items():
            correlation = rank_correlation(proxy, -change)
            if correlation is not None:
                result["resrl/lld_rank_correlation" + name] = correlation
        return result

    def _mean_log_probs(self, rows: list[Tensor]) -> Tensor:
        """(n,) float64 mean over the tokens that the model generated, of each positive sequence."""
        values = response_values(rows, self._prompt_lengths, self._response_lengths)[self._generated]
        sequence = torch.repeat_interleave(torch.arange(len(rows)), self._response_lengths)[self._generated]
        return means(values, sequence, len(rows), Exchange())


def _select(data: TensorDict, rows: Tensor, exchange: Exchange) -> TensorDict:
    """Take rows, and the shortest one again and again until all ranks have the same number of micro-batches."""
    number = int(exchange.gather(torch.tensor([len(rows)])).max())
    if not tu.get_non_tensor_data(data=data, key="use_dynamic_bsz", default=True):
        size = tu.get_non_tensor_data(data=data, key="micro_batch_size_per_gpu", default=1)
        number = -(-number // size) * size
    shortest = data["input_ids"].offsets().diff().argmin().cpu()
    selected = tu.index_select_tensor_dict(data, torch.cat([rows, shortest.repeat(number - len(rows))]))
    tu.assign_non_tensor(selected, calculate_entropy=False)
    return selected
