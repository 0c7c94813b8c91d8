# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""``resrl eval --benchmark NAME``: the options that the paper's protocol of a benchmark stands for."""

from pathlib import Path
from typing import Any

from verl_resrl.evaluation.settings import EvaluationError


def options_of(benchmark: str) -> dict[str, Any]:
    """Translate a protocol of ``verl_resrl.tasks.benchmarks`` into options of the command.

    Args:
        benchmark: its name.

    Returns:
        By name of the option; ``data`` is where ``scripts/prepare_data.py`` puts it unless told otherwise.

    Raises:
        EvaluationError: there is no such benchmark.
    """
    from verl_resrl.tasks.benchmarks import AGENT_BENCHMARKS, BENCHMARKS

    if benchmark not in BENCHMARKS:
        names = ", ".join((*BENCHMARKS, *AGENT_BENCHMARKS))
        raise EvaluationError(f"--benchmark {benchmark} must be one of {names}")
    protocol = BENCHMARKS[benchmark]
    return {
        "data": [Path("data") / f"{protocol.data}.parquet"],
        "n": protocol.samples,
        "averaged": protocol.averaged,
        "k": ",".join(map(str, protocol.ks)),
        "temperature": protocol.temperature,
        "top_p": protocol.top_p,
        "max_tokens": protocol.max_response,
        "max_prompt_tokens": protocol.max_prompt,
        "reward_file": protocol.reward,
        "chat_template_kwargs": f'{{"enable_thinking": {str(protocol.enable_thinking).lower()}}}',
    }
