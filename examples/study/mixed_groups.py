# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Problems of any data -> groups of a model's responses of which some are right and some are wrong."""

import argparse
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from one_step import Group

from verl_resrl.evaluation.evaluate import sample_and_judge
from verl_resrl.evaluation.generate import HFGenerator, Job, Sampling, load_tokenizer
from verl_resrl.evaluation.judge import Judge
from verl_resrl.evaluation.problems import check_model, check_parquet, read_problems
from verl_resrl.evaluation.states import response_ids

NO_GROUPS = "no problem has both right and wrong responses: take more --rollouts, or another model"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says which responses are made."""
    parser.add_argument("model", metavar="MODEL", help="folder of a Hugging Face model, or its name on the hub")
    parser.add_argument("data", metavar="DATA", type=Path, help="parquet file in verl's format")
    parser.add_argument("--groups", type=int, default=100, help="stop after so many groups with both kinds (100)")
    parser.add_argument("--rollouts", type=int, default=16, help="responses to each problem (16)")
    parser.add_argument("--max-tokens", type=int, default=32, help="longest response (32)")
    parser.add_argument("--max-prompt-tokens", type=int, default=512, help="longest prompt (512)")
    parser.add_argument("--seed", type=int, default=0, help="of the responses (0)")
    parser.add_argument("--reward-file", type=Path, help="compute_score() in place of verl's choice by data source")
    parser.add_argument("--out", type=Path, help="write the numbers there as JSON, too")


def mixed_groups(options: argparse.Namespace, every_other: bool = False, first: int = 0) -> Iterator[tuple[int, Group]]:
    """Sample responses, problem after problem.

    Args:
        options: of ``add_arguments``; it is for the caller to stop after ``groups``.
        every_other: call every other response right, whatever it says, instead of judging.
        first: problem to begin with.

    Yields:
        Number of the problem, and its responses.

    Raises:
        EvaluationError: model, data or reward cannot be used.
    """
    check_model(options.model)
    check_parquet(options.data)
    tokenizer: Any = load_tokenizer(options.model)
    problems = read_problems([options.data], tokenizer, options.max_prompt_tokens)
    sampling = Sampling(options.max_tokens, options.max_prompt_tokens, seed=options.seed)
    judge = None if every_other else Judge(options.reward_file)
    with closing(HFGenerator(options.model, tokenizer, sampling)) as generator:
        for number, problem in list(enumerate(problems))[first:]:
            jobs = [Job(number, sample) for sample in range(options.rollouts)]
            if judge is None:
                made = [response for part in generator.generate(problems, jobs) for _, response in part]
                responses = [response.token_ids for response in made]
                correct = torch.arange(len(responses)) % 2 == 0
            else:
                parts = sample_and_judge(generator, judge, problems, jobs, (), tokenizer)
                samples = [sample for part in parts for sample in part]
                responses = [response_ids(sample, tokenizer) for sample in samples]
                correct = torch.tensor([sample.correct for sample in samples])
            if correct.any() and not correct.all():
                yield number, Group(problem.prompt_ids, responses, correct)
