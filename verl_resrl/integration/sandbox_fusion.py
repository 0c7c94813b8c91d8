# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Programs run by a sandbox-fusion server, through verl's client; ``tasks.code_reward`` finds it by entry point."""

import math
import threading

from verl.utils.reward_score.sandbox_fusion.utils import call_sandbox_api

from verl_resrl.tasks.sandbox import Limits, Mode, Outcome, SandboxError, whole_program

_requests = threading.Semaphore(8)  # at a time, of each of verl's processes that judge


def judge_remotely(program: str, stdin: str, mode: Mode, url: str, limits: Limits) -> Outcome:
    """Run a program on a server, as ``sandbox.run`` does here; what it wrote is judged here too.

    Args:
        program: Python source.
        stdin: what it reads.
        mode: see ``sandbox_child``.
        url: of the server.
        limits: time and memory; the server has its own for the rest.

    Raises:
        SandboxError: the server did not run it.
    """
    seconds = math.ceil(limits.cpu_seconds)
    with _requests:
        answer, error = call_sandbox_api(
            url, whole_program(program, mode), stdin, seconds, seconds, limits.memory_bytes >> 20
        )
    result = (answer or {}).get("run_result") or {}
    if error is not None or not result:
        why = error or f"it answered {str(answer)[:200]}"
        raise SandboxError(f"the sandbox-fusion server at {url} did not run a program: {why}")
    if result.get("status") == "TimeLimitExceeded":
        return Outcome("timeout", "")
    finished = result.get("status") == "Finished" and result.get("return_code") == 0
    return Outcome("ok" if finished else "error", result.get("stdout") or "")
