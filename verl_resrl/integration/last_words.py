# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The last line of a run whose rewards all failed: verl's own is about its buffer, and the cause is far above.

A callback of Hydra, beside ``start_checks``; it does nothing unless the run has ended in this way.
"""

import asyncio
import inspect
import sys
from typing import Any

import pyarrow.parquet as pq
import ray
from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from transformers import AutoTokenizer
from verl.trainer.ppo.reward import get_custom_reward_fn
from verl.utils.reward_score import default_compute_score

from verl_resrl.integration.start_data import files_here

ALL_FAILED = "no materializable trajectories"  # of verl's message when no response of a step is left


class LastWords(Callback):
    """Name the cause when not one response of a step could be used."""

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Called by Hydra after verl's main function, and before it prints the traceback of an error."""
        if job_return.status != JobStatus.FAILED or ALL_FAILED not in str(job_return._return_value):
            return
        ray.shutdown()  # which still hands on lines of other processes
        print(f"error: every response of a step failed; {cause(config)}", file=sys.stderr, flush=True)
        raise SystemExit(1)


def cause(config: DictConfig) -> str:
    """Look at the chat template, and try the reward function on an empty response to the first problem.

    Args:
        config: verl's, composed.
    """
    rest = "look for 'Error in _run_prompt' further up"
    model = config.actor_rollout_ref.model
    try:  # a model of the hub has been fetched by now
        tokenizer = AutoTokenizer.from_pretrained(model.get("tokenizer_path") or model.path, local_files_only=True)
    except Exception:  # it is not here, or needs code of its own
        tokenizer = None
    if tokenizer is not None and not tokenizer.chat_template and not model.get("custom_chat_template"):
        return f"the tokenizer of {model.path} has no chat template: take the model's chat variant"
    for path in files_here(config):
        row = next(pq.ParquetFile(path).iter_batches(batch_size=1)).to_pylist()[0]
        try:
            score = get_custom_reward_fn(config) or default_compute_score
            result = score(
                data_source=row["data_source"],
                solution_str="",
                ground_truth=row["reward_model"]["ground_truth"],
                extra_info=row.get("extra_info") or {},
            )
            result = asyncio.run(result) if inspect.iscoroutine(result) else result
            float(result["score"] if isinstance(result, dict) else result)
        except Exception as error:  # whatever the user's function may raise
            what = " ".join(f"{type(error).__name__}: {error}".split())
            return f"the reward function fails on an empty response to row 1 of {path} with {what}"
        return f"the reward function works on row 1 of {path}: {rest}"
    return rest
