# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""What ray_submit.sh does, by Ray's own client: look at the cluster, submit, follow the log, return the exit code."""

import asyncio
import json
import logging
import os
import re
import shlex
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ACCELERATORS = ("GPU", "NPU")  # Ray's names for them
STOPPED = 143  # exit code of a job that somebody stopped, as of a process that SIGTERM ended
POLL_SECONDS = 1.0
PATIENCE = 300  # polls without an answer
LOST = (ConnectionError, RuntimeError)  # what Ray's client raises when a connection breaks


class SubmitError(Exception):
    """The run cannot be submitted; the message is one line."""


def job_environment(environment: Mapping[str, str], folder: str, arguments: Sequence[str]) -> dict[str, str]:
    """Pick the knobs out of an environment; arguments become one, so that no shell reads their quotes again.

    Args:
        environment: of this shell.
        folder: what relative paths are relative to.
        arguments: for verl.
    """
    scripts = "".join(path.read_text(encoding="utf-8") for path in HERE.parent.rglob("*.sh"))
    names = {"MODEL", "HF_HOME", "HF_HUB_OFFLINE", *re.findall(r'^: "\$\{([A-Z_]+):=', scripts, re.MULTILINE)}
    knobs = {name: environment[name] for name in sorted(names) if environment.get(name)}
    knobs["VERL_ARGS"] = " ".join([knobs.get("VERL_ARGS", ""), *map(shlex.quote, arguments)]).strip()
    return knobs | {"RUN_FROM": folder}


def check_nodes(nodes: Sequence[Any], environment: Mapping[str, str]) -> None:
    """Compare what the run asks for with what is there: Ray waits without a word for machines that never come.

    Args:
        nodes: the cluster's, with ``state`` and ``resources_total``.
        environment: of this shell.

    Raises:
        SubmitError: there are fewer machines with so many GPUs.
    """
    if "NNODES" not in environment or environment.get("WAIT_FOR_NODES") == "1":
        return
    want, gpus = (_count(environment, name, default) for name, default in (("NNODES", "1"), ("GPUS_PER_NODE", "8")))
    have = [max(node.resources_total.get(name, 0) for name in ACCELERATORS) for node in nodes if node.state == "ALIVE"]
    fit = sum(count >= gpus for count in have)
    if fit < want:
        counts = ", ".join(f"{count:g}" for count in sorted(have))
        raise SubmitError(
            f"NNODES={want} GPUS_PER_NODE={gpus}, and {fit} of the cluster's {len(have)} nodes have {gpus} GPUs or "
            f"more (they have {counts}): set these, start more nodes, or set WAIT_FOR_NODES=1 where an autoscaler "
            "adds them"
        )


def _count(environment: Mapping[str, str], name: str, default: str) -> int:
    text = environment.get(name) or default
    if not text.isdecimal() or int(text) == 0:
        raise SubmitError(f"{name}={text} must be an integer, 1 or more")
    return int(text)


def submit(script: Path, arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Submit a run script and follow it.

    Args:
        script: of the run.
        arguments: for verl.
        environment: of this shell.

    Returns:
        The run's exit code; 0 at once if it shall not be waited for.

    Raises:
        SubmitError: the cluster cannot be reached, or is too small.
    """
    try:
        from ray.exceptions import AuthenticationError
        from ray.job_submission import JobSubmissionClient
        from ray.util.state import list_nodes
    except ModuleNotFoundError as error:
        raise SubmitError(f"{sys.executable} has no Ray ({error}): activate its environment, or set PYTHON") from None
    address = environment["RAY_API_SERVER_ADDRESS"]
    headers = json.loads(environment.get("RAY_JOB_HEADERS") or "{}")
    try:
        client = JobSubmissionClient(address, headers=headers)
        check_nodes(list_nodes(address, detail=True, limit=10_000), environment)
        job = client.submit_job(
            entrypoint=shlex.join(["bash", str(HERE / "in_folder.sh"), str(script.resolve())]),
            runtime_env={"env_vars": job_environment(environment, str(Path.cwd()), arguments)},
        )
    except (*LOST, AuthenticationError) as error:
        raise SubmitError(f"RAY_API_SERVER_ADDRESS={address}: {_one_line(error)}") from None
    hints = f"the job {job} goes on: `ray job logs --follow {job}` watches it, `ray job stop {job}` ends it"
    print(f"submitted as {job}", file=sys.stderr, flush=True)
    if environment.get("NO_WAIT"):
        print(hints, file=sys.stderr)
        return 0
    try:
        try:
            asyncio.run(_follow(client, job))
        except LOST as error:
            print(f"the log cannot be followed any more ({_one_line(error)}); {hints}", file=sys.stderr, flush=True)
        return _exit_code(client, job, hints)
    except KeyboardInterrupt:
        print(f"\nstopped watching; {hints} (RAY_API_SERVER_ADDRESS={address})", file=sys.stderr)
        return 130


async def _follow(client: Any, job: str) -> None:
    async for text in client.tail_job_logs(job):
        print(text, end="", flush=True)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _exit_code(client: Any, job: str, hints: str) -> int:
    """Wait for the end of a job whose log has ended, or cannot be followed any more."""
    lost = 0
    while True:
        try:
            details, lost = client.get_job_info(job), 0
        except LOST as error:
            lost += 1
            if lost == PATIENCE:
                raise SubmitError(f"the cluster does not answer any more ({_one_line(error)}); {hints}") from None
        else:
            if details.status.is_terminal():
                break
        time.sleep(POLL_SECONDS)
    status = str(details.status)
    if status == "SUCCEEDED":
        return 0
    message = (details.message or "").split(", last available logs")[0]  # which have been shown
    print(f"error: the job {job} ended as {status}: {' '.join(message.split())[:300]}", file=sys.stderr)
    return STOPPED if status == "STOPPED" else details.driver_exit_code or 1


if __name__ == "__main__":
    logging.getLogger("ray").setLevel(logging.ERROR)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell makes what it starts with & ignore it
    try:
        sys.exit(submit(Path(sys.argv[1]), sys.argv[2:], os.environ))
    except SubmitError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
