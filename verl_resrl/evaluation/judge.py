# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Responses -> scores and named answers, with the reward function that verl uses in training."""

import asyncio
import importlib.util
import inspect
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

from verl_resrl.evaluation.settings import EvaluationError

ANSWER_FIELDS = ("pred", "answer", "extracted")  # under which verl's reward functions return what they found
CONCURRENT = 64  # calls of the reward function at a time; some ask a server or run programs


@dataclass(frozen=True)
class Verdict:
    """What the reward function says.

    Attributes:
        score: its score.
        correct: whether the score is above the threshold.
        answer: the answer's name, equal for equal answers; None if the response gives none.
    """

    score: float
    correct: bool
    answer: str | None


class Judge:
    """Scores responses as verl does in training.

    Args:
        reward_file: Python file with ``compute_score(data_source, solution_str, ground_truth, extra_info)``, sync or
            async, that returns a number or a dict with the key "score", as verl's
            ``reward.custom_reward_function.path``; None for verl's ``default_compute_score``, which chooses by data
            source. It may define ``answer_of(text, ground_truth)``, which names the answer of a response, None if
            it gives none, and ``check_ground_truth(ground_truth)``, which raises ValueError for one it cannot use.
            Without ``answer_of``, an answer is named by the field "pred", "answer" or "extracted" of the dict;
            without such a field it has no name, as under most of verl's own rewards.
        threshold: a response is correct when its score is above.
        name: of the function in the file, in place of ``compute_score``.
        kwargs: further arguments of the function in the file; they win over verl's own, as in training.
        named_by: what the user names the file with, for messages.

    Attributes:
        same_answer: ``same_answer(first, second)`` of the file, which tells whether two answers, as they are named,
            are one; None if it has none.

    Raises:
        EvaluationError: the file cannot be used.
    """

    def __init__(
        self,
        reward_file: Path | None,
        threshold: float = 0.0,
        name: str = "compute_score",
        kwargs: Mapping[str, Any] | None = None,
        named_by: str = "--reward-file",
    ) -> None:
        self._named_by = named_by
        self._threshold, self._kwargs = threshold, dict(kwargs or {})
        self._answer_of: Callable[[str, Any], str | None] | None = None
        self.same_answer: Callable[[str, str], bool] | None = None
        self._check: Callable[[Any], object] | None = None
        if reward_file is None:
            from verl_resrl.integration.default_reward import default_compute_score

            self._compute_score: Callable[..., Any] = default_compute_score
        else:
            module = _load(reward_file, named_by)
            if not hasattr(module, name):
                raise EvaluationError(f"{named_by}: {reward_file} defines no {name}()")
            self._compute_score = getattr(module, name)
            self._answer_of = getattr(module, "answer_of", None)
            self.same_answer = getattr(module, "same_answer", None)
            self._check = getattr(module, "check_ground_truth", None)
        self._is_async = inspect.iscoroutinefunction(self._compute_score)
        self._stopped = False

    def check(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Have the reward function's file look at all right answers, before hours are spent on responses to them.

        Args:
            rows: of the parquet file.

        Raises:
            EvaluationError: it refuses one.
        """
        for number, row in enumerate(rows if self._check is not None else ()):
            try:
                self._check(row["reward_model"]["ground_truth"])  # type: ignore[misc]
            except ValueError as error:
                raise EvaluationError(f"problem {number}: {_one_line(error)}") from None

    def stop(self) -> None:
        """Call the reward function no more in a ``judge`` that another thread is in."""
        self._stopped = True

    def judge(self, rows: Sequence[Mapping[str, Any]], texts: Sequence[str]) -> list[Verdict]:
        """Judge responses.

        Args:
            rows: of the parquet file, one for each response.
            texts: the responses, without special tokens.

        Raises:
            EvaluationError: the reward function failed, or returned something else than a score.
        """
        self._stopped = False
        return asyncio.run(self._judge(rows, texts))

    async def _judge(self, rows: Sequence[Mapping[str, Any]], texts: Sequence[str]) -> list[Verdict]:
        limit = asyncio.Semaphore(CONCURRENT)

        async def one(row: Mapping[str, Any], text: str) -> Verdict:
            async with limit:
                if self._stopped:
                    raise EvaluationError("stopped")
                return self._verdict(row, text, await self._score(row, text))

        return list(await asyncio.gather(*(one(row, text) for row, text in zip(rows, texts, strict=True))))

    async def _score(self, row: Mapping[str, Any], text: str) -> Any:
        arguments = {
            "data_source": row["data_source"],
            "solution_str": text,
            "ground_truth": row["reward_model"]["ground_truth"],
            # verl adds these two: a question and its answer, and no scores from the rollout
            "extra_info": {**(row.get("extra_info") or {}), "num_turns": 2, "rollout_reward_scores": {}},
        } | self._kwargs
        try:
            if self._is_async:
                return await self._compute_score(**arguments)
            return await asyncio.to_thread(self._compute_score, **arguments)
        except NotImplementedError as error:  # of verl's choice by data source
            raise EvaluationError(f"{error}: name a file with compute_score() in {self._named_by}") from None
        except (Exception, SystemExit) as error:
            raise EvaluationError(
                f"the reward function failed with {type(error).__name__}: {_one_line(error)} "
                f"(data_source {row['data_source']!r}, ground_truth {arguments['ground_truth']!r}, "
                f"response {text[:80]!r})"
            ) from error

    def _verdict(self, row: Mapping[str, Any], text: str, result: Any) -> Verdict:
        if inspect.iscoroutine(result):
            result.close()
            raise EvaluationError("the reward function returned a coroutine: declare it with async def")
        fields = result if isinstance(result, Mapping) else {"score": result}
        score = fields.get("score")
        number = float(score) if isinstance(score, Real) else math.nan
        if not math.isfinite(number):  # as in training, where verl or ResRL refuse it
            raise EvaluationError(
                "the reward function must return a finite number or a dict with the finite number 'score', "
                f"it returned {result!r}"[:300]
            )
        return Verdict(number, number > self._threshold, self._name(row, text, fields))

    def _name(self, row: Mapping[str, Any], text: str, fields: Mapping[str, Any]) -> str | None:
        if self._answer_of is not None:
            try:
                answer = self._answer_of(text, row["reward_model"]["ground_truth"])
            except Exception as error:  # whatever the user's function may raise
                raise EvaluationError(
                    f"answer_of failed with {type(error).__name__}: {_one_line(error)} (response {text[:80]!r})"
                ) from error
            if answer is not None and not isinstance(answer, str):
                raise EvaluationError(f"answer_of must return text or None, it returned {str(answer)[:200]}")
            return answer or None
        for field in ANSWER_FIELDS:
            if field in fields:
                return None if fields[field] is None else str(fields[field]).strip() or None
        return None


def squeezed(text: str) -> str:
    """Text with white space squeezed: a name for an answer about which nothing is known."""
    return " ".join(text.split())


def _load(file: Path, named_by: str) -> Any:
    if not file.is_file():
        raise EvaluationError(f"{named_by}: {file} {'is not a file' if file.exists() else 'does not exist'}")
    try:
        name = _name_in_a_package(file)
        return importlib.import_module(name) if name is not None else _load_alone(file, named_by)
    except EvaluationError:
        raise
    except (Exception, SystemExit) as error:  # whatever the user's file may raise
        raise EvaluationError(
            f"{named_by}: {file} cannot be imported ({type(error).__name__}: {_one_line(error)})"
        ) from error


def _load_alone(file: Path, named_by: str) -> Any:
    name = f"verl_resrl_reward_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise EvaluationError(f"{named_by}: {file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look there
    spec.loader.exec_module(module)
    return module


def _name_in_a_package(file: Path) -> str | None:
    """Name of a file that Python would import from an installed package: relative imports in it need that."""
    package = file.parent
    while (package / "__init__.py").is_file():
        package = package.parent
    name = ".".join(file.relative_to(package).with_suffix("").parts)
    if "." not in name:
        return None
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    return name if found is not None and found.origin is not None and Path(found.origin).resolve() == file else None


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
