# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""``samples.jsonl``: one row for each judged response, written as they come, continued after a kill."""

import fcntl
import json
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from verl_resrl.evaluation.generate import Job
from verl_resrl.evaluation.settings import EvaluationError

logger = logging.getLogger(__name__)
SAMPLES_FILE = "samples.jsonl"


@dataclass(frozen=True)
class Sample:
    """A judged response.

    Attributes:
        problem: number of the problem.
        sample: number of the response to it.
        data_source: of the problem.
        prompt: with the chat template.
        response: text without special tokens.
        score: of the reward function.
        correct: whether the score is above the threshold.
        answer: name of the answer, None if the response gives none.
        num_tokens: length of the response, the end-of-sequence token included.
        finished: whether it ended by itself.
    """

    problem: int
    sample: int
    data_source: str
    prompt: str
    response: str
    score: float
    correct: bool
    answer: str | None
    num_tokens: int
    finished: bool

    @property
    def job(self) -> Job:
        """Which response it is."""
        return Job(self.problem, self.sample)


class SamplesFile:
    """The file of an evaluation, open for one process; see ``open_samples``."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise EvaluationError(
                f"another evaluation is writing {path}; wait for it or choose another --out"
            ) from None
        except OSError as error:  # some network file systems have no locks
            logger.warning("%s cannot be locked (%s): do not start two evaluations into one folder", path, error)
        self.samples = list(self._recover(path))

    def _recover(self, path: Path) -> Iterator[Sample]:
        """Read what is there, and cut off a last line that a killed process has left unfinished."""
        self._file.seek(0)
        whole = 0
        for number, line in enumerate(self._file, start=1):
            if not line.endswith(b"\n"):
                break
            try:
                yield Sample(**json.loads(line))
            except (ValueError, TypeError):
                raise EvaluationError(
                    f"line {number} of {path} is not a sample; delete the file to start over"
                ) from None
            whole += len(line)
        self._file.truncate(whole)

    def append(self, samples: Iterable[Sample]) -> None:
        """Write rows; they survive the end of this process from here on."""
        for sample in samples:
            self.samples.append(sample)
            self._file.write(json.dumps(asdict(sample), ensure_ascii=False).encode(errors="replace") + b"\n")
        self._file.flush()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


@contextmanager
def open_samples(folder: Path) -> Iterator[SamplesFile]:
    """Open an evaluation's samples and hold them for this process, however it ends.

    Args:
        folder: of the evaluation.

    Raises:
        EvaluationError: another process has it open, or a line is not a sample.
    """
    file = SamplesFile(folder / SAMPLES_FILE)
    try:
        yield file
    finally:
        file.close()
