# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Interference beside the token weights: what the other score takes, on the same tokens."""

from functools import partial

import torch
from torch import Tensor

from benchmarks.inputs import make_inputs
from benchmarks.measure import interleaved_seconds, peak_bytes
from benchmarks.record import Case, Measurement, Size, measurements, ratios
from benchmarks.token_weights_cost import REPEATS, SIZES
from verl_resrl import ResRLConfig, interference, token_weights

OURS, BASELINE = "interference", "resrl"
HIDDEN_SIZES = (1024, 2560)  # of the sizes of the question weights
VOCABULARY = 151936  # Qwen3's
CONTEXTS = 128  # kinds of places in a text, each with its own likely tokens


def interference_cases(device: str) -> list[Case]:
    """List the problems: those of the question ``weights``.

    Args:
        device: ``cuda`` or ``cpu``.
    """
    return [
        Case("interference", name, partial(measure, name, size, device, REPEATS[device]))
        for size in SIZES[device]
        if size.d in HIDDEN_SIZES
        for name in [f"{size.tokens} tokens, {size.dtype_name}"]
    ]


def measure(case: str, size: Size, device: str, repeats: int) -> list[Measurement]:
    """Measure the score alone beside ``token_weights`` on the same hidden states.

    Args:
        case: of the measurements.
        size: of the problem.
        device: ``cuda`` or ``cpu``.
        repeats: timed calls.

    Returns:
        Time and peak memory of both, and their ratios.
    """
    inputs, config = make_inputs(size, device), ResRLConfig(rank=size.k)
    predictions = make_predictions(size.tokens, config.top_tokens, device)
    rest = (inputs.sequence_ids, inputs.group_ids, inputs.is_positive)
    calls = {
        OURS: lambda: interference(inputs.hidden, *predictions, *rest, config=config),
        BASELINE: lambda: token_weights(inputs.hidden, *rest, config=config).weights,
    }
    values = interleaved_seconds(calls, repeats)
    for method, call in calls.items():
        values[method]["peak_bytes"] = peak_bytes(call, device, size.groups)
    rows = [row for method in calls for row in measurements("interference", case, method, size, values[method])]
    return rows + ratios(rows, BASELINE)


def make_predictions(tokens: int, top_tokens: int, device: str, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Make tokens with their most likely ones and probabilities, as ``interference`` takes them.

    Args:
        tokens: number of them.
        top_tokens: m.
        device: of the tensors.
        seed: of the values.

    Returns:
        (tokens,) int64, (tokens, m) int64 and (tokens, m) float32. 4096 tokens occur with m = 32; in the predictions of
        370 tokens of SmolLM2-135M, one group, it was 1600 to 2000.
    """
    generator = torch.Generator().manual_seed(seed)
    likely = torch.randperm(VOCABULARY, generator=generator)[: CONTEXTS * top_tokens].view(CONTEXTS, top_tokens)
    ids = likely[torch.randint(CONTEXTS, (tokens,), generator=generator)]
    probs = torch.randn(tokens, top_tokens, generator=generator).mul(2).softmax(1).sort(1, descending=True).values
    chosen = torch.multinomial(probs, 1, generator=generator)
    return ids.gather(1, chosen)[:, 0].to(device), ids.to(device), probs.to(device)
