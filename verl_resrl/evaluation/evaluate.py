# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The evaluation of one model: problems -> responses -> verdicts -> samples file -> summary."""

import importlib.util
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

from verl_resrl.evaluation.context import context_of
from verl_resrl.evaluation.generate import HFGenerator, Job, Response, Sampling, load_tokenizer
from verl_resrl.evaluation.judge import Judge
from verl_resrl.evaluation.problems import Problem, check_model, check_parquet, problems_of
from verl_resrl.evaluation.rating import codeforces_summary, rating_of, read_users
from verl_resrl.evaluation.samples import SAMPLES_FILE, Sample, open_samples
from verl_resrl.evaluation.settings import EvaluationError, Settings, claim_folder, write_json
from verl_resrl.evaluation.summary import summarize
from verl_resrl.evaluation.vllm_generator import LOG_FILE, VLLMGenerator

SUMMARY_FILE = "summary.json"
Report = Callable[[int, int, str], None]  # done, in all, a note


def check(settings: Settings) -> Judge:
    """Look at everything that the settings name, before time is spent.

    Returns:
        The judge, ready to use.

    Raises:
        EvaluationError: something cannot be used.
    """
    if importlib.util.find_spec("sacrebleu") is None:
        raise EvaluationError("the summary needs the package sacrebleu: pip install sacrebleu, or the extra [eval]")
    for file in settings.data:
        check_parquet(Path(file))
    check_model(settings.model)
    if settings.codeforces_users is not None:
        read_users(Path(settings.codeforces_users))
    reward_file = Path(settings.reward_file) if settings.reward_file else None
    return Judge(reward_file, settings.threshold, settings.reward_name, settings.reward_kwargs)


def evaluate(settings: Settings, folder: Path, judge: Judge, report: Report) -> dict[str, Any]:
    """Evaluate a model, or finish what a stopped evaluation has begun.

    Args:
        settings: what to do.
        folder: of the results.
        judge: from ``check``.
        report: called with responses done, responses in all and a note.

    Returns:
        The summary, as written to ``summary.json``.

    Raises:
        EvaluationError: the folder holds samples of other settings, or something cannot be used.
    """
    claim_folder(folder, settings)
    with open_samples(folder) as file:
        tokenizer = load_tokenizer(settings.model)
        context = context_of(settings.model)
        problems = problems_of(settings, tokenizer, context)
        judge.check([problem.row for problem in problems])
        if settings.codeforces_users and all(rating_of(problem) is None for problem in problems):
            raise EvaluationError("--codeforces-users: none of these problems is one of Codeforces with a rating")
        jobs = [Job(problem, sample) for problem in range(len(problems)) for sample in range(settings.n)]
        done = {sample.job for sample in file.samples}
        right = sum(sample.correct for sample in file.samples)
        if len(done) < len(jobs):
            # what fails on an empty response fails now, before a large model is loaded
            sources = {problem.row["data_source"]: problem.row for problem in problems}
            judge.judge(list(sources.values()), [""] * len(sources))
            with closing(_generator(settings, folder, tokenizer, context)) as generator:
                for new in sample_and_judge(generator, judge, problems, jobs, done, tokenizer):
                    file.append(new)
                    right += sum(sample.correct for sample in new)
                    report(len(file.samples), len(jobs), f"{right / len(file.samples):.1%} right")
        summary = summarize(file.samples, settings.k, settings.seed, report, settings.averaged, judge.same_answer)
        users = Path(settings.codeforces_users) if settings.codeforces_users else None
        codeforces = codeforces_summary(problems, file.samples, users)
        if codeforces is not None:
            summary["codeforces"] = codeforces
        if settings.token_weights:
            from verl_resrl.evaluation.token_view import write_token_view

            write_token_view(folder, settings, problems, file.samples, tokenizer, report)
        write_json(folder / SUMMARY_FILE, summary)  # last: it says that all is there
    return summary


def take_samples(source: Path, folder: Path) -> None:
    """Start an evaluation with the samples of a finished one of the same settings, such as of a common start.

    Args:
        source: folder of the finished one.
        folder: of the new one; if it has samples, they stay.
    """
    if not (folder / SAMPLES_FILE).exists():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = folder / (SAMPLES_FILE + ".tmp")
        shutil.copyfile(source / SAMPLES_FILE, unfinished)
        os.replace(unfinished, folder / SAMPLES_FILE)


def sample_and_judge(
    generator: HFGenerator | VLLMGenerator,
    judge: Judge,
    problems: Sequence[Problem],
    jobs: Sequence[Job],
    done: Collection[Job],
    tokenizer: Any,
) -> Iterator[list[Sample]]:
    """Make and judge the responses that are missing; some are judged while the next are made. An engine that ends
    in mid-run takes nothing with it that was made before.

    Args:
        generator: of the responses.
        judge: of them.
        problems: all of them.
        jobs: all responses of the evaluation, always in the same order.
        done: those that are there.
        tokenizer: of the model.

    Yields:
        Samples that came together.
    """
    pool, judged, failure = ThreadPoolExecutor(1), None, None
    batches = generator.generate(problems, jobs, done)
    try:
        while True:
            try:
                batch = next(batches, None)
            except EvaluationError as error:
                batch, failure = None, error
            if judged is not None:
                yield judged.result()
            if batch is None:
                break
            texts = [tokenizer.decode(response.token_ids, skip_special_tokens=True) for _, response in batch]
            judged = pool.submit(_judged, judge, problems, batch, texts)
        if failure is not None:
            raise failure
    finally:
        judge.stop()  # Ctrl-C does not wait for the verdicts
        pool.shutdown(wait=False, cancel_futures=True)


def _judged(
    judge: Judge, problems: Sequence[Problem], batch: Sequence[tuple[Job, Response]], texts: Sequence[str]
) -> list[Sample]:
    verdicts = judge.judge([problems[job.problem].row for job, _ in batch], texts)
    return [
        Sample(
            problem=job.problem,
            sample=job.sample,
            data_source=problems[job.problem].row["data_source"],
            prompt=problems[job.problem].prompt,
            response=text,
            score=verdict.score,
            correct=verdict.correct,
            answer=verdict.answer,
            num_tokens=len(response.token_ids),
            finished=response.finished,
        )
        for (job, response), text, verdict in zip(batch, texts, verdicts, strict=True)
    ]


def _generator(settings: Settings, folder: Path, tokenizer: Any, context: int | None) -> HFGenerator | VLLMGenerator:
    sampling = Sampling(
        settings.max_tokens,
        settings.max_prompt_tokens,
        temperature=settings.temperature,
        top_p=settings.top_p,
        seed=settings.seed,
        context=context,
    )
    if settings.backend == "vllm":
        log, gpus = folder / LOG_FILE, settings.tensor_parallel_size
        return VLLMGenerator(settings.model, sampling, log, settings.dtype, gpus)
    return HFGenerator(settings.model, tokenizer, sampling, settings.dtype)
