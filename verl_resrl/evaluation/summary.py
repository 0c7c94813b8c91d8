# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Samples -> the figures of an evaluation, for each data source and overall."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from verl_resrl.evaluation.answer_classes import Same, with_common_names
from verl_resrl.evaluation.judge import squeezed
from verl_resrl.evaluation.samples import Sample
from verl_resrl.statistics.intervals import bootstrap_interval
from verl_resrl.statistics.passk import pass_at_k

# self-BLEU compares every response with every other: the first ones tell enough
SELF_BLEU_SAMPLES = 8
Group = Sequence[Sample]  # the responses to one problem, in order


def summarize(
    samples: Iterable[Sample],
    ks: Sequence[int],
    seed: int = 0,
    report: Callable[[int, int, str], None] | None = None,
    averaged: int | None = None,
    same: Same | None = None,
) -> dict[str, Any]:
    """Condense an evaluation.

    Args:
        samples: in any order; equally many for every problem.
        ks: for which Pass@k is wanted, each at most the number of samples of a problem.
        seed: of the bootstrap.
        report: called with problems done, problems in all and a note.
        averaged: also report Avg over the first so many responses to each problem.
        same: tells whether two answers are one; by default, if they are written alike.

    Returns:
        ``{"overall": S, "data_sources": {name: S}}``; see ``_summary`` for S.
    """
    by_problem: dict[int, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_problem[sample.problem].append(sample)
    groups = [sorted(by_problem[problem], key=lambda sample: sample.sample) for problem in sorted(by_problem)]
    if same is not None:
        named = []
        for done, group in enumerate(groups, start=1):
            named.append(with_common_names(group, same))
            if report is not None:
                report(done, len(groups), "equal answers")
        groups = named
    bleus = []
    for done, group in enumerate(groups, start=1):
        bleus.append(self_bleu([sample.response for sample in group[:SELF_BLEU_SAMPLES]]))
        if report is not None:
            report(done, len(groups), "self-BLEU")
    sources = [group[0].data_source for group in groups]
    rows_of = {name: [row for row, source in enumerate(sources) if source == name] for name in sorted(set(sources))}
    return {
        "overall": _summary(groups, bleus, ks, seed, averaged),
        "data_sources": {
            name: _summary([groups[row] for row in rows], [bleus[row] for row in rows], ks, seed, averaged)
            for name, rows in rows_of.items()
        },
    }


def _summary(
    groups: Sequence[Group], bleus: Sequence[float | None], ks: Sequence[int], seed: int, averaged: int | None
) -> dict[str, Any]:
    """Condense problems; all figures are means over them.

    Returns:
        ``num_problems``; ``num_samples``, responses to each problem; ``avg_at_n``, the share of right responses, and
        ``pass_at_k`` and ``majority_vote``, each with ``mean`` and the ends ``low`` and ``high`` of its 95% bootstrap
        interval over problems, the last None if no answer has a name; ``mean_length``, tokens of a response;
        ``distinct_correct``, different right answers to a problem; ``self_bleu`` in [0, 1], None with one response to
        each problem. With ``averaged``, also ``avg_at_first``: it as a text -> such a figure.
    """
    n = len(groups[0])
    correct = np.array([sum(sample.correct for sample in group) for group in groups])
    first = [float(np.mean([sample.correct for sample in group[:averaged]])) for group in groups]
    votes = [majority_vote(group) for group in groups]
    figures = [correct / n, first, *(pass_at_k(n, correct, k) for k in ks), votes]
    table = np.stack([np.asarray(figure, dtype=np.float64) for figure in figures], axis=1)
    low, high = bootstrap_interval(table, seed=seed)
    average, average_of_first, *passes, majority = (
        {"mean": float(mean), "low": float(a), "high": float(b)}
        for mean, a, b in zip(table.mean(axis=0), low, high, strict=True)
    )
    known = [bleu for bleu in bleus if bleu is not None]
    return {
        "num_problems": len(groups),
        "num_samples": n,
        "avg_at_n": average,
        "pass_at_k": {str(k): figure for k, figure in zip(ks, passes, strict=True)},
        "majority_vote": majority if any(sample.answer is not None for group in groups for sample in group) else None,
        "mean_length": float(np.mean([sample.num_tokens for group in groups for sample in group])),
        "distinct_correct": float(np.mean([distinct_correct(group) for group in groups])),
        "self_bleu": float(np.mean(known)) if known else None,
    } | ({} if averaged is None else {"avg_at_first": {str(averaged): average_of_first}})


def majority_vote(group: Group) -> float:
    """How often the most frequent answer to a problem is right (self-consistency, arXiv 2203.11171).

    Responses without an answer do not vote. Of several answers that are equally frequent one is drawn, so that the
    result is their mean.

    Args:
        group: responses to one problem.

    Returns:
        In [0, 1]; 0 if no response gives an answer.
    """
    votes = Counter(sample.answer for sample in group if sample.answer is not None)
    if not votes:
        return 0.0
    most = max(votes.values())
    winners = {answer for answer, count in votes.items() if count == most}
    return float(np.mean([sample.correct for sample in group if sample.answer in winners]))


def distinct_correct(group: Group) -> int:
    """Count the different right answers to a problem; where a right one has no name, its text is the name."""
    return len({sample.answer or squeezed(sample.response) for sample in group if sample.correct})


def self_bleu(responses: Sequence[str]) -> float | None:
    """Mean BLEU of each response against the others (Zhu et al., arXiv 1802.01886): lower is more diverse.

    Args:
        responses: to one problem.

    Returns:
        In [0, 1], by sacrebleu with its default tokenizer and smoothing; None for fewer than two responses.
    """
    if len(responses) < 2:
        return None
    from sacrebleu.metrics import BLEU

    bleu = BLEU(effective_order=True)  # short responses may have no 4-gram
    scores = [
        bleu.sentence_score(response, [*responses[:i], *responses[i + 1 :]]).score
        for i, response in enumerate(responses)
    ]
    return float(np.mean(scores)) / 100
