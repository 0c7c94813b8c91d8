#!/usr/bin/env python3
# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0

"""Throw hostile answers at the rewards of mathematics and code: none may raise, hang, score, or leave a trace."""

import argparse
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.tasks.hostile import ATTACKS, GOLD, answers
from verl_resrl.tasks import code_reward, math_reward

RIGHT_EVERY = 50  # a right answer now and then shows that the judge is still alive
TESTS = code_reward.Tests(inputs=("",), outputs=("1",)).to_json()  # attacks that get through print 1


class Verdict(NamedTuple):
    """What a judge said: kind of the answer, answer, whether it scored, whether the judge gave up, seconds."""

    kind: str
    answer: str
    scored: bool
    gave_up: bool
    seconds: float

    @property
    def wrong(self) -> bool:
        """Whether it should have said something else."""
        return self.scored != (self.kind.startswith("right"))


@contextmanager
def targets() -> Iterator[tuple[dict[str, str], Callable[[], list[str]]]]:
    """What attacks are after: words of ``tests.tasks.hostile`` with their values, and a look at what they have done."""
    with tempfile.TemporaryDirectory() as name, socket.create_server(("127.0.0.1", 0)) as listener:
        folder, victim = Path(name), subprocess.Popen([sys.executable, "-c", "import time; time.sleep(86400)"])
        folder.chmod(0o777)  # only the sandbox may keep a program from writing there
        (folder / "secret").write_text("1")
        os.environ["VERL_RESRL_TOKEN"] = "1"
        listener.setblocking(False)

        def traces() -> list[str]:
            found = [
                f"{path} is there" for path in (folder / "canary", Path.home() / "verl_resrl_canary") if path.exists()
            ]
            found += ["a process outside was killed"] if victim.poll() is not None else []
            try:
                listener.accept()
                found.append("a program reached the network")
            except BlockingIOError:
                pass
            return found

        port = str(listener.getsockname()[1])
        words = {"CANARY": str(folder / "canary"), "SECRET": str(folder / "secret")}
        try:
            yield words | {"PORT": port, "PARENT": str(victim.pid)}, traces
        finally:
            victim.kill()
            victim.wait()


def mathematics(seed: int, canary: str, time_limit: float) -> Iterator[Callable[[], Verdict]]:
    """Judgements of answers to a problem of mathematics, without end."""

    def judge(kind: str, answer: str) -> Verdict:
        asked = time.monotonic()
        result = math_reward.compute_score("fuzz", answer, GOLD, time_limit=time_limit)
        return Verdict(kind, answer[:80], result["score"] == 1, bool(result["gave_up"]), time.monotonic() - asked)

    for number, (kind, answer) in enumerate(answers(seed, canary)):
        if number % RIGHT_EVERY == 0:
            kind, answer = "right", f"\\boxed{{{GOLD}}}"
        yield partial(judge, kind, answer)


def programs(seed: int, words: dict[str, str]) -> Iterator[Callable[[], Verdict]]:
    """Judgements of programs that attack, without end."""

    def judge(kind: str, program: str) -> Verdict:
        for word, value in words.items():
            program = program.replace(word, value)
        asked = time.monotonic()
        result = code_reward.compute_score("fuzz", f"```python\n{program}\n```", TESTS, cpu_seconds=1, answer_seconds=5)
        return Verdict(kind, kind, result["score"] == 1, result["status"] == "timeout", time.monotonic() - asked)

    rng, number = random.Random(seed), 0
    while True:
        for kind in rng.sample(list(ATTACKS), len(ATTACKS)):
            number += 1
            yield partial(judge, f"program: {kind}", ATTACKS[kind])
            if number % RIGHT_EVERY == 0:
                yield partial(judge, "right program", "print(1)")


def main() -> int:
    """Run the command line; returns its exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--answers", type=int, default=9_850, help="to a problem of mathematics [9850]")
    parser.add_argument("--programs", type=int, default=150, help="that attack, in the sandbox [150]")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--time-limit", type=float, default=1.0, help="seconds of computing for each answer [1]")
    parser.add_argument("--threads", type=int, default=4, help="that ask at a time, as verl's reward workers do [4]")
    options = parser.parse_args()
    kinds, gave_up, bad = Counter[str](), Counter[str](), list[str]()
    start, longest, total = time.monotonic(), 0.0, options.answers + options.programs
    with targets() as (words, traces), ThreadPoolExecutor(options.threads) as pool:
        for stream, count in (
            (mathematics(options.seed, words["CANARY"], options.time_limit), options.answers),
            (programs(options.seed, words), options.programs),
        ):
            judgements = islice(stream, count)
            while batch := list(islice(judgements, 100)):
                for verdict in pool.map(lambda judge: judge(), batch):
                    kinds[verdict.kind] += 1
                    gave_up[verdict.kind] += verdict.gave_up
                    longest = max(longest, verdict.seconds)
                    bad += [f"{verdict} is wrong"] if verdict.wrong else []
                done, seconds = sum(kinds.values()), time.monotonic() - start
                left = seconds / done * (total - done)
                print(f"\r{done}/{total}, {left:.0f} s left ", end="", file=sys.stderr, flush=True)
        bad += traces()
    print(file=sys.stderr)
    print(f"{total} answers in {time.monotonic() - start:.0f} s, the longest took {longest:.1f} s, its turn awaited")
    for kind, count in kinds.most_common():
        print(f"  {kind:32} {count:6}, given up {gave_up[kind]}")
    print("\n".join(["every answer was judged as it should be, and no attack left a trace"] if not bad else bad[:20]))
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
