# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""``resrl eval --benchmark`` of agents: verl's own validation plays the episodes through the agent loop of training."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verl_resrl.evaluation.settings import EvaluationError, write_json
from verl_resrl.runs.child import child
from verl_resrl.runs.overrides import quoted
from verl_resrl.tasks.benchmarks import AGENT_BENCHMARKS, AgentBenchmark
from verl_resrl.tasks.bfcl_accuracy import accuracies

SUMMARY_FILE = "agent_summary.json"
POLL_SECONDS = 0.5
_ACCURACY = "val-core/{source}/acc/mean@"


@dataclass(frozen=True)
class AgentSettings:
    """An evaluation of one model on one benchmark.

    Attributes:
        benchmark: its protocol.
        model: Hugging Face model, a folder or a name on the hub.
        data: parquet files.
        n: episodes of each task.
        temperature: of sampling; 0 takes the most likely token.
        top_p: sample among the most likely tokens that together have this probability.
        max_tokens: longest episode after the prompt.
        max_prompt_tokens: longest prompt.
        seed: of the sampling.
        limit: only so many tasks, the first ones; None for all.
        tensor_parallel_size: GPUs that share the model.
        verl_args: more settings for verl.

    Raises:
        EvaluationError: a value is out of range, or a file is missing.
    """

    benchmark: AgentBenchmark
    model: str
    data: tuple[Path, ...]
    n: int = 1
    temperature: float = 0.4
    top_p: float = 1.0
    max_tokens: int = 12288
    max_prompt_tokens: int = 2048
    seed: int = 0
    limit: int | None = None
    tensor_parallel_size: int = 1
    verl_args: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("n", "max_tokens", "max_prompt_tokens", "tensor_parallel_size"):
            if getattr(self, name) < 1:
                raise EvaluationError(f"--{name.replace('_', '-')} {getattr(self, name)} must be 1 or more")
        for file in self.data:
            if not file.is_file():
                name = self.benchmark.name
                raise EvaluationError(f"{file} does not exist: python scripts/prepare_data.py {name} writes it")


def settings_of(name: str, model: str, given: Mapping[str, Any]) -> AgentSettings:
    """Fill in the protocol.

    Args:
        name: of the benchmark, one of ``AGENT_BENCHMARKS``.
        model: folder or name on the hub.
        given: settings that the user has given, which win.
    """
    benchmark = AGENT_BENCHMARKS[name]
    protocol: dict[str, Any] = {
        "data": tuple(Path("data") / name / f"{file}.parquet" for file in benchmark.files),
        "temperature": benchmark.temperature,
        "max_prompt_tokens": benchmark.max_prompt,
        "max_tokens": benchmark.max_response,
    }
    return AgentSettings(benchmark, model, **(protocol | dict(given)))


def verl_command(settings: AgentSettings, folder: Path, gpus: int) -> list[str]:
    """Build the command that validates once and trains nothing.

    Args:
        settings: of the evaluation.
        folder: of the results.
        gpus: of this machine; 0 for a CPU.
    """
    rollout, validation = "actor_rollout_ref.rollout", "actor_rollout_ref.rollout.val_kwargs"
    files = "[" + ",".join(quoted(file.resolve()) for file in settings.data) + "]"
    ranks = gpus or 1
    command = [sys.executable, "-m", "verl.trainer.main_ppo", *([] if gpus else ["+device=cpu"]), "+method=grpo"]
    command += [
        f"+agent={settings.benchmark.name}",
        f"data.train_files={files}",  # which verl wants to open
        f"data.val_files={files}",
        f"data.train_batch_size={ranks}",
        f"data.val_max_samples={-1 if settings.limit is None else settings.limit}",
        "data.shuffle=False",  # verl would draw those by chance, others each time
        f"data.max_prompt_length={settings.max_prompt_tokens}",
        f"data.max_response_length={settings.max_tokens}",
        "+data.apply_chat_template_kwargs.enable_thinking=False",
        f"actor_rollout_ref.model.path={quoted(settings.model)}",
        f"actor_rollout_ref.actor.ppo_mini_batch_size={ranks}",
        "actor_rollout_ref.actor.use_dynamic_bsz=True",
        f"{rollout}.seed={settings.seed}",
        f"{validation}.n={settings.n}",
        f"{validation}.do_sample={settings.temperature > 0}",
        f"{validation}.temperature={settings.temperature}",
        f"{validation}.top_p={settings.top_p}",
        "trainer.val_only=True",
        "trainer.val_before_train=True",
        "trainer.resume_mode=disable",
        "trainer.logger=[console,file]",
        f"trainer.validation_data_dir={quoted(folder / 'episodes')}",
        f"trainer.default_local_dir={quoted(folder / 'checkpoints')}",
        f"hydra.run.dir={quoted(folder / 'hydra')}",
    ]
    if gpus:
        command += [
            f"trainer.n_gpus_per_node={gpus}",
            f"{rollout}.name=vllm",
            f"{rollout}.tensor_model_parallel_size={settings.tensor_parallel_size}",
        ]
    return [*command, *settings.verl_args]


def evaluate_agent(
    settings: AgentSettings, folder: Path, gpus: int, waiting: Callable[[str], None]
) -> dict[str, float]:
    """Play all episodes.

    Args:
        settings: what to do.
        folder: of the results: ``agent_summary.json``, verl's log, and the episodes.
        gpus: of this machine; 0 for a CPU.
        waiting: called twice a second with what goes on.

    Returns:
        Share of successes by data source, and ``success_rate``, their mean; for BFCL by category, and
        ``multi_turn_overall``, the official metric.

    Raises:
        EvaluationError: verl failed; the message has the last line of its log.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    metrics, log = folder / "metrics.jsonl", folder / "verl.log"
    metrics.unlink(missing_ok=True)
    environment = os.environ | {"VERL_FILE_LOGGER_PATH": str(metrics), "TOKENIZERS_PARALLELISM": "false"}
    log.unlink(missing_ok=True)
    with child(verl_command(settings, folder, gpus), environment, folder, log) as process:
        while process.poll() is None:
            waiting("verl starts and plays")
            try:
                process.wait(POLL_SECONDS)
            except subprocess.TimeoutExpired:
                continue
    lines = metrics.read_text(encoding="utf-8").splitlines() if metrics.exists() else []
    values = json.loads(lines[-1])["data"] if lines else {}
    found = successes(settings.benchmark, values)
    if not found:
        last = ([line for line in log.read_text(errors="replace").splitlines() if line.strip()] or ["nothing"])[-1]
        raise EvaluationError(f"verl ended without a validation: {last[:300]} (its log: {log})")
    write_json(folder / SUMMARY_FILE, {"benchmark": settings.benchmark.name, "model": settings.model} | found)
    return found


def successes(benchmark: AgentBenchmark, metrics: Mapping[str, float]) -> dict[str, float]:
    """Read what verl logged of a validation; see ``evaluate_agent``. Empty if there was none.

    Raises:
        EvaluationError: a category without a task leaves nothing to average.
    """
    prefix, middle = _ACCURACY.split("{source}")
    if benchmark.name == "bfcl" and any(name.startswith(prefix) for name in metrics):
        try:
            return accuracies(metrics)
        except KeyError as missing:
            raise EvaluationError(
                f"no task of {missing.args[0]} was played: raise --limit, or give it as --data"
            ) from None
    found = {
        name.removeprefix(prefix).split(middle)[0]: float(value)
        for name, value in metrics.items()
        if name.startswith(prefix) and middle in name
    }
    return {**found, "success_rate": sum(found.values()) / len(found)} if found else {}
