# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Programs judged by a sandbox-fusion server, through verl's client; ``tasks.code_reward`` finds it by entry point."""

import json
import logging
import threading
from functools import cache

from verl.utils.reward_score.sandbox_fusion import compute_score

from verl_resrl.tasks.code_reward import Tests

logger = logging.getLogger(__name__)


def judge_remotely(program: str, tests: Tests, url: str, memory_bytes: int) -> str:
    """Run a program on its tests on a server.

    Args:
        program: Python source.
        tests: what it must pass.
        url: of the server.
        memory_bytes: of a process.

    Returns:
        "right", "wrong_answer", or "sandbox_error" if the server failed.
    """
    completion = f"```python\n{tests.prefix}\n{program}\n```"
    given = json.loads(tests.to_json())
    share, details = compute_score(url, _slots(), memory_bytes >> 20, completion, given)
    failures = [
        detail for detail in details if detail.get("status") in ("api_error", "sandbox_error", "internal_error")
    ]
    if failures:
        logger.error("code reward: the sandbox-fusion server at %s did not judge an answer: %s", url, failures[0])
        return "sandbox_error"
    return "right" if share == 1.0 else "wrong_answer"


@cache
def _slots() -> threading.Semaphore:
    return threading.Semaphore(8)  # requests at a time, of each of verl's processes that judge
