# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""How long a run with a pretrained model will take, roughly, before anything starts: its FLOP over what is measured."""

import time
from dataclasses import dataclass

import torch
from settings import QuickstartError, Settings
from sometimes import ATTEMPTS
from starts import STARTS

# FLOP per parameter and token: a forward pass, and one with its backward pass
FORWARD, UPDATE = 2, 6
# the supervised start, in float32, goes back through the upper layers alone, in larger products: so SmolLM2-135M took
SUPERVISED = 1.8
DECODING = 2  # times the FLOP of a forward pass: the products are of few rows, and sampling comes on top
RESPONSE_SHARE = 0.5  # of the longest response, and of the longest prompt
# of the matrix products' speed, for padding, logits and what is computed twice to save memory: a step of SmolLM2-135M
# on two cores reached 0.35 of it in float32, an evaluation 0.8
EFFICIENCY = 0.4
SECONDS_TO_START = 60  # verl, for each training
SIZE, SECONDS_MEASURED = 1024, 0.3


def parameters_of(model: str) -> int:
    """Count a model's parameters without loading its weights.

    Args:
        model: Hugging Face model, a folder or a name on the hub.

    Raises:
        QuickstartError: its configuration cannot be loaded, or is not that of a language model.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(model)
        with torch.device("meta"):
            return sum(p.numel() for p in AutoModelForCausalLM.from_config(config).parameters())
    except Exception as error:  # of transformers and the hub
        reason = " ".join(str(error).split())[:300]
        raise QuickstartError(f"MODEL: {model} cannot be loaded ({reason})") from None


def flop_per_second(device: str, dtype: torch.dtype) -> float:
    """Measure this machine's matrix products.

    Args:
        device: ``cuda`` or ``cpu``.
        dtype: of the training's products.
    """
    gpu = device == "cuda"
    matrix = torch.randn(8 * SIZE if gpu else SIZE, SIZE, device=device, dtype=dtype)
    square = matrix[:SIZE]
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < SECONDS_MEASURED:
        matrix @ square
        done += 1
        if gpu:
            torch.cuda.synchronize()
    return done * 2 * len(matrix) * SIZE**2 / (time.perf_counter() - start)


@dataclass(frozen=True)
class Estimate:
    """Seconds of the phases of a run, from its beginning.

    Attributes:
        start: supervised start, and the choice of the problems that it sometimes solves; 0 for the user's own model.
        trainings: all of them.
        evaluations: all of them.
    """

    start: float
    trainings: float
    evaluations: float


def estimate(settings: Settings, parameters: int, rate: float, start_rate: float) -> Estimate:
    """Estimate the phases of a run.

    Args:
        settings: of the run.
        parameters: of the model.
        rate: FLOP a second of matrix products, as ``flop_per_second`` measures it, in the precision of the trainings.
        start_rate: the same in that of the supervised start.
    """
    prompt, response = (RESPONSE_SHARE * length for length in (settings.max_prompt, settings.max_response))
    reading = (prompt + response) * parameters  # times FLOP per parameter and token
    sampling = response * parameters * FORWARD * DECODING / (rate * EFFICIENCY)
    start = 0.0
    if settings.model is None:
        ours = STARTS[settings.start]
        supervised = ours.sizes[0] * reading * SUPERVISED / (start_rate * EFFICIENCY)
        start = supervised + ours.candidates * ATTEMPTS * sampling
    step = settings.prompts * settings.rollouts * (sampling + reading * (FORWARD + UPDATE) / (rate * EFFICIENCY))
    evaluated = (len(settings.methods) + 1) * settings.eval_problems * settings.eval_samples
    trainings = len(settings.methods) * (SECONDS_TO_START + settings.steps * step)
    return Estimate(start, trainings, evaluated * sampling)


def sentence(settings: Settings, parameters: int, rate: float, start_rate: float) -> str:
    """Say it in one line.

    Args:
        settings: of the run.
        parameters: of the model.
        rate: as ``estimate`` takes it.
        start_rate: as ``estimate`` takes it.
    """
    found = estimate(settings, parameters, rate, start_rate)
    parts = {"start": found.start, "trainings": found.trainings, "evaluations": found.evaluations}
    return (
        f"from the beginning it takes about {_time(sum(parts.values()))} "
        f"({', '.join(f'{name} {_time(seconds)}' for name, seconds in parts.items() if seconds)}): "
        f"{parameters / 1e6:,.0f} million parameters, {rate / 1e9:,.0f} GFLOP/s measured, responses taken to be half "
        "as long as they may be, downloads aside"
    )


def _time(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:,.0f} hours"
