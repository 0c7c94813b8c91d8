# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""One training through verl's own command: build it, follow its progress, continue it after a stop."""

import json
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Protocol

from checkpoints import finished_step, keep_weights_of_older, tidy
from knobs import ON_CPU
from precision import device_group
from settings import QuickstartError, Settings

from verl_resrl.runs.child import child
from verl_resrl.runs.overrides import quoted

REWARD = "critic/score/mean"  # verl's name of the mean reward of a step
POLL_SECONDS = 0.5
_COLOUR_OR_ACTOR = re.compile(r"\x1b\[[0-9;]*m|^\([^)]*pid=[^)]*\)\s*")
_ERROR = re.compile(r"^(?:[\w.]*\.)?[A-Z]\w*(?:Error|Exception|Killed)\w*: .")


class Progress(Protocol):
    """Who is told how far a training is, such as ``verl_resrl.evaluation.progress.Phase``."""

    def update(self, done: int, total: int, note: str) -> None:
        """Take steps done, steps in all and a note."""

    def waiting(self, status: str) -> None:
        """Take a word on what happens before the first step."""


def verl_command(
    method: str, settings: Settings, model: str, train: Sequence[Path], val: Sequence[Path], folder: Path, gpu: bool
) -> list[str]:
    """Build the command that trains one method.

    Args:
        method: what follows ``+method=``.
        settings: of the run.
        model: where to start from.
        train: training data.
        val: held-out data, which verl wants to open even if it never validates.
        folder: of the run; checkpoints go below it.
        gpu: whether there is a GPU to use.
    """
    rollout, actor = "actor_rollout_ref.rollout", "actor_rollout_ref.actor"
    device = [] if gpu else [f"+device={device_group(settings)}"]
    command = [sys.executable, "-m", "verl.trainer.main_ppo", *device, f"+method={method}"]
    command += [
        f"data.train_files={_hydra_list(train)}",
        f"data.val_files={_hydra_list(val)}",
        f"data.train_batch_size={settings.prompts}",
        f"data.max_prompt_length={settings.max_prompt}",
        f"data.max_response_length={settings.max_response}",
        "data.filter_overlong_prompts=True",
        f"data.seed={settings.seed}",
        f"actor_rollout_ref.model.path={quoted(model)}",
        f"{rollout}.n={settings.rollouts}",
        f"{rollout}.seed={settings.seed}",
        f"{actor}.ppo_mini_batch_size={settings.mini_batch}",
        f"{actor}.optim.lr={settings.lr}",
        f"{actor}.checkpoint.save_contents=[model,optimizer,extra,hf_model]",
        f"trainer.total_training_steps={settings.steps}",
        "trainer.total_epochs=1000000",
        f"trainer.save_freq={settings.save_every}",
        "trainer.max_actor_ckpt_to_keep=2",
        f"trainer.default_local_dir={quoted(folder / 'checkpoints')}",
        "trainer.test_freq=-1",
        "trainer.val_before_train=False",
        "trainer.logger=[console,file]",
        f"trainer.experiment_name={method}",
        f"hydra.run.dir={quoted(folder / 'hydra')}",
    ]
    if gpu:
        command += [
            "trainer.n_gpus_per_node=1",
            f"{rollout}.name=vllm",
            f"{rollout}.gpu_memory_utilization=0.4",
            f"{rollout}.tensor_model_parallel_size=1",
            f"{rollout}.log_prob_use_dynamic_bsz=True",
            f"{actor}.use_dynamic_bsz=True",
            *attention(settings.verl_args),
        ]
    elif settings.model is None:
        command += ON_CPU.get(settings.start, ())
    if method.startswith("resrl"):
        command.append(f"resrl.rank={settings.rank}")
    if settings.reward_file is not None:
        command.append(f"reward.custom_reward_function.path={quoted(settings.reward_file)}")
        command.append("reward.custom_reward_function.name=compute_score")
    return command + list(settings.verl_args)


def attention(verl_args: Sequence[str]) -> list[str]:
    """Replace verl's attention on a GPU, flash-attn, where that cannot be imported.

    Args:
        verl_args: the user's settings, whose choice stays.
    """
    if any("attn_implementation=" in argument for argument in verl_args):
        return []
    try:
        import_module("flash_attn")
    except Exception:  # not installed, or built for another PyTorch
        return ["+actor_rollout_ref.model.override_config.attn_implementation=sdpa"]
    return []


def next_metrics(folder: Path) -> Path:
    """Where the next attempt of a run writes its metrics: verl truncates the file when it starts, so each has its own.

    Args:
        folder: of the run.
    """
    taken = [int(file.stem) for file in (folder / "metrics").glob("*.jsonl") if file.stem.isdecimal()]
    return folder / "metrics" / f"{max(taken, default=-1) + 1:04}.jsonl"


def train(command: Sequence[str], folder: Path, steps: int, phase: Progress, keep_older: bool = False) -> None:
    """Run verl until the last step, from the newest checkpoint on.

    Args:
        command: of ``verl_command``.
        folder: of the run.
        steps: the last step.
        phase: shows the progress.
        keep_older: whether the weights of checkpoints before the newest are of use; all else of them is deleted.

    Raises:
        QuickstartError: verl ended without a checkpoint of the last step.
    """
    (folder / "metrics").mkdir(parents=True, exist_ok=True)
    tidy(folder, keep_older)
    log = folder / "verl.log"
    metrics = next_metrics(folder)
    environment = os.environ | {
        "VERL_FILE_LOGGER_PATH": str(metrics),
        "HYDRA_FULL_ERROR": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "TOKENIZERS_PARALLELISM": "false",
    }
    seen = len(log.read_bytes()) if log.exists() else 0
    with child(command, environment, folder, log) as process:
        _follow(process, metrics, steps, phase, (lambda: keep_weights_of_older(folder)) if keep_older else None)
    if finished_step(folder) < steps:
        raise QuickstartError(f"verl stopped early: {_last_error(log, seen)} (its log: {log})")


def _follow(
    process: subprocess.Popen, metrics: Path, steps: int, phase: Progress, meanwhile: Callable[[], None] | None
) -> None:
    while process.poll() is None:
        if meanwhile is not None:
            meanwhile()
        entries = _entries(metrics)
        if entries:
            newest = max(entries)
            phase.update(newest, steps, f"reward {entries[newest].get(REWARD, math.nan):.3f}")
        else:
            phase.waiting("verl starts and makes a first step")
        time.sleep(POLL_SECONDS)


def _entries(metrics: Path) -> dict[int, dict[str, float]]:
    """What one attempt has logged so far: metrics by step."""
    steps = {}
    for line in metrics.read_text(encoding="utf-8", errors="replace").splitlines() if metrics.exists() else ():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:  # a line that is being written, or the last one of a killed attempt
            continue
        steps[entry["step"]] = entry["data"]
    return steps


def _last_error(log: Path, start: int) -> str:
    """The last line of a log's new part that looks like an exception, else its last line."""
    with log.open("rb") as file:
        file.seek(start)
        text = file.read().decode(errors="replace")
    lines = [_COLOUR_OR_ACTOR.sub("", _COLOUR_OR_ACTOR.sub("", line)).strip() for line in text.splitlines()]
    lines = [line for line in lines if line]
    errors = [line for line in lines if _ERROR.match(line)]
    return (errors or lines or ["it wrote nothing"])[-1][:300]


def _hydra_list(files: Sequence[Path]) -> str:
    return "[" + ",".join(quoted(file) for file in files) + "]"
