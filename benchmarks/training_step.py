# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""What ResRL adds to a training step: a Qwen3 model with random weights, with and without tap and token weights.

The log-prob pass and the update of verl's FSDP engine without what is the same on both sides and unrelated: FSDP
itself, the optimizer and the reference policy.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, Qwen3Config

from benchmarks.measure import interleaved_seconds, peak_bytes
from benchmarks.record import Case, Measurement, Size, measurements, ratios
from verl_resrl import ResRLConfig, token_weights
from verl_resrl.integration.tap import HiddenStateTap, ResponseStates, find_decoder_layers

# configurations published with the models
_QWEN3 = {
    "vocab_size": 151936,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "max_position_embeddings": 40960,
    "tie_word_embeddings": True,
}
MODELS: dict[str, dict[str, Any]] = {
    "Qwen3-1.7B": _QWEN3
    | {"hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 28, "num_attention_heads": 16},
    "Qwen3-4B": _QWEN3
    | {"hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36, "num_attention_heads": 32},
}
REPEATS = 3
WITHOUT, WITH = "without", "with resrl"


@dataclass(frozen=True)
class Workload:
    """The sequences of one step.

    Attributes:
        groups: prompt groups.
        rollouts: sequences of each group; the first half of them is positive.
        prompt_tokens: of each sequence.
        response_tokens: of each sequence.
        micro_batch: sequences of one forward pass; divides their number.
    """

    groups: int
    rollouts: int
    prompt_tokens: int
    response_tokens: int
    micro_batch: int


WORKLOAD = Workload(groups=8, rollouts=8, prompt_tokens=256, response_tokens=1024, micro_batch=4)


def step_cases(device: str) -> list[Case]:
    """List the models; none without a GPU.

    Args:
        device: ``cuda`` or ``cpu``.
    """
    if device != "cuda":
        return []
    return [
        Case("step", name, partial(measure, name, model, WORKLOAD, device, torch.bfloat16, REPEATS))
        for name, model in MODELS.items()
    ]


def measure(
    case: str, model: dict[str, Any], workload: Workload, device: str, dtype: torch.dtype, repeats: int
) -> list[Measurement]:
    """Time the log-prob pass and the whole step (that pass, then forward and backward) with and without ResRL.

    Args:
        case: of the measurements.
        model: arguments of ``Qwen3Config``.
        workload: sequences of the step.
        device: ``cuda`` or ``cpu``.
        dtype: of the model.
        repeats: timed calls.

    Returns:
        Time and peak memory of both parts with both methods, and their ratios.
    """
    step = TrainingStep(model, workload, device, dtype)
    config = ResRLConfig()
    rank = min(config.rank, model["hidden_size"])
    size = Size(workload.groups, workload.rollouts, workload.response_tokens, model["hidden_size"], rank, dtype)
    parts: dict[str, dict[str, Callable[[], object]]] = {
        "log-prob pass": {WITHOUT: step.log_prob_pass, WITH: lambda: step.log_prob_pass(config)},
        "step": {WITHOUT: step.run, WITH: lambda: step.run(config)},
    }
    result = []
    for part, calls in parts.items():
        values = interleaved_seconds(calls, repeats)
        for method, call in calls.items():
            values[method]["peak_bytes"] = peak_bytes(call, device)
            result += measurements("step", f"{case} {part}", method, size, values[method])
    return result + ratios(result, WITHOUT)


class TrainingStep:
    """A random model and the sequences of one step.

    Args:
        model: arguments of ``Qwen3Config``.
        workload: sequences of the step.
        device: of the model.
        dtype: of the model.
    """

    def __init__(self, model: dict[str, Any], workload: Workload, device: str, dtype: torch.dtype) -> None:
        torch.manual_seed(0)
        config = Qwen3Config(**model)
        with torch.device(device):
            self.model: nn.Module = AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation="sdpa")
        self.model.gradient_checkpointing_enable({"use_reentrant": False})  # as verl does by default
        self._tap = HiddenStateTap(find_decoder_layers(self.model, config.num_hidden_layers)[-1])
        self._workload, self._device = workload, device
        self.sequences = workload.groups * workload.rollouts
        length = workload.prompt_tokens + workload.response_tokens
        self.tokens = torch.randint(config.vocab_size, (self.sequences, length), device=device)
        self._group_ids = torch.arange(workload.groups).repeat_interleave(workload.rollouts)
        self._positive = torch.arange(workload.rollouts).repeat(workload.groups) < workload.rollouts // 2

    def run(self, resrl: ResRLConfig | None = None) -> None:
        """Run the log-prob pass, then forward and backward of every micro-batch; gradients are dropped at the end.

        Args:
            resrl: settings; without them the step is GRPO's.
        """
        weights = self.log_prob_pass(resrl)
        self.model.train()
        advantages = torch.where(self._positive, 1.0, -1.0)[:, None].to(self._device)
        for rows in self._micro_batches():
            advantage = advantages[rows] if weights is None else advantages[rows] * weights[rows]
            loss = -(self._log_probs(rows) * advantage).mean()
            loss.backward()
        self.model.zero_grad(set_to_none=True)

    @torch.no_grad()
    def log_prob_pass(self, resrl: ResRLConfig | None = None) -> Tensor | None:
        """Compute log-probabilities of all sequences and, with ResRL, the token weights.

        Args:
            resrl: settings; without them nothing is tapped.

        Returns:
            (num_sequences, response tokens) float32 weights, or None.
        """
        self.model.eval()
        if resrl is None:
            for rows in self._micro_batches():
                self._log_probs(rows)
            return None
        lengths = [self._workload.prompt_tokens, self._workload.response_tokens]
        prompts, responses = (torch.full((self.sequences,), length) for length in lengths)
        states = ResponseStates(prompts, torch.ones(int(responses.sum()), dtype=torch.bool), responses)
        self._tap.start()
        for rows in self._micro_batches():
            self._log_probs(rows)
            hidden = self._tap.take()
            starts = torch.arange(hidden.shape[0]) * hidden.shape[1]
            states.store(hidden.flatten(0, 1), torch.arange(self.sequences)[rows], starts)
        self._tap.stop()
        ids = (states.sequence_ids, self._group_ids, self._positive)
        sequence_ids, group_ids, positive = (tensor.to(self._device) for tensor in ids)
        out = token_weights(states.hidden(), sequence_ids, group_ids, positive, config=resrl)
        return out.weights.view(self.sequences, -1)

    def _micro_batches(self) -> list[slice]:
        size = self._workload.micro_batch
        return [slice(first, first + size) for first in range(0, self.sequences, size)]

    def _log_probs(self, rows: slice) -> Tensor:
        """(rows, response tokens) log-probabilities of the responses; logits at all positions, as in verl."""
        tokens, prompt = self.tokens[rows], self._workload.prompt_tokens
        logits = self.model(input_ids=tokens, use_cache=False).logits[:, prompt - 1 : -1]
        losses = nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, prompt:].flatten(), reduction="none")
        return -losses.view(len(tokens), -1)
