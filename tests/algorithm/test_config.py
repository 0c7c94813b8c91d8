# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Settings: the paper's values by default, and nothing out of range."""

import dataclasses
import math
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from verl_resrl import ResRLConfig
from verl_resrl.tasks.length_reward import LengthScale

CONFIGS = files("verl_resrl.integration.config")
PAPER = {
    "rank": 64,
    "max_positive_tokens": 4096,
    "min_positive_tokens": 4,
    "q_low": 0.2,
    "q_high": 0.8,
    "xi": 0.1,
    "lambda_pos": 0.1,
    "positive_threshold": 0.0,
    "max_workspace_gb": 1.0,
    "hidden_offload": "auto",
    "on_failure": "stop",
    "weighting": "residual",
    "hidden_state_at": "predicting",
    "layer": "last",
    "shuffle": False,
    "beta": 1.0,
    "top_tokens": 32,
    "measure_lld": False,
}
PAPER_LENGTH = {"start": 3500, "end": 4096, "floor": 0.7}


def load(group: str, name: str) -> Any:
    return OmegaConf.create((CONFIGS / group / f"{name}.yaml").read_text(encoding="utf-8"))


def test_defaults_are_the_papers() -> None:
    assert dataclasses.asdict(ResRLConfig()) == PAPER
    assert dataclasses.asdict(LengthScale()) == PAPER_LENGTH


def test_defaults_of_the_command_line_are_the_same() -> None:
    assert dict(load("method", "resrl").resrl) == PAPER
    scale = load("reward_manager", "length_scaled").reward.reward_kwargs.length_scale
    assert dict(scale) == PAPER_LENGTH


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        ("psr", {"positive_threshold"}),
        ("nsr", {"positive_threshold"}),
        ("w_reinforce", {"positive_threshold", "lambda_pos"}),
        ("grpo_pos", {"positive_threshold", "lambda_pos"}),
    ],
)
def test_a_baseline_has_the_settings_it_uses(method: str, fields: set[str]) -> None:
    assert dict(load("method", method).resrl) == {name: PAPER[name] for name in fields}


@pytest.mark.parametrize("settings", [ResRLConfig(), LengthScale()])
def test_settings_are_frozen(settings: Any) -> None:
    name = dataclasses.fields(settings)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(settings, name, 1)


@pytest.mark.parametrize(
    ("field", "values", "allowed"),
    [
        ("rank", [0, -1, 1.0, 2.5, True, "64", None], "an integer in [1, infinity)"),
        ("min_positive_tokens", [1, 0, -4, 4.0, False], "an integer in [2, infinity)"),
        ("max_positive_tokens", [3, 0, -1, 4096.0, None], "an integer in [4, infinity)"),
        ("q_low", [-0.1, 1.1, math.nan, "0.2", None, False], "a finite number in [0.0, 1.0]"),
        ("q_high", [-0.1, 1.1, math.inf, math.nan, True], "a finite number in [0.0, 1.0]"),
        ("xi", [-0.01, 1.01, 2, math.nan, "0.1"], "a finite number in [0.0, 1.0]"),
        ("lambda_pos", [-0.1, math.inf, math.nan, None, True], "a finite number in [0.0, inf]"),
        ("beta", [-1.0, math.nan, "1"], "a finite number in [0.0, inf]"),
        ("top_tokens", [0, 1.5, None], "an integer in [1, infinity)"),
        ("max_workspace_gb", [-1.0, math.inf, math.nan, "1"], "a finite number in [0.0, inf]"),
        ("positive_threshold", [math.inf, -math.inf, math.nan, "0"], "a finite number in [-inf, inf]"),
    ],
)
def test_out_of_range_value_is_named(field: str, values: list[Any], allowed: str) -> None:
    for value in values:
        with pytest.raises(ValueError, match="ResRL") as error:
            ResRLConfig(**{field: value})
        assert str(error.value) == f"ResRL: {field}={value!r} must be {allowed}"


@pytest.mark.parametrize(
    ("field", "values", "allowed"),
    [
        ("on_failure", ["ignore", None, ""], "one of stop, fallback"),
        ("hidden_offload", ["disk", None], "one of auto, cpu, device"),
        (
            "weighting",
            ["random", None, True],
            "one of residual, uniform, entropy, interference, interference_reversed, nthr",
        ),
        ("hidden_state_at", ["next", 0], "one of predicting, consuming"),
        ("layer", ["first", 1.0, None, True], "an integer or one of last, penultimate, middle"),
        ("shuffle", ["yes", 1, None], "True or False"),
        ("measure_lld", ["yes", 1, None], "True or False"),
    ],
)
def test_unknown_choice_is_named(field: str, values: list[Any], allowed: str) -> None:
    for value in values:
        with pytest.raises(ValueError, match="ResRL") as error:
            ResRLConfig(**{field: value})
        assert str(error.value) == f"ResRL: {field}={value!r} must be {allowed}"


@pytest.mark.parametrize(("q_low", "q_high"), [(0.8, 0.2), (0.5, 0.5), (1.0, 1.0), (0.0, 0.0)])
def test_quantiles_must_be_in_order(q_low: float, q_high: float) -> None:
    with pytest.raises(ValueError, match="ResRL") as error:
        ResRLConfig(q_low=q_low, q_high=q_high)
    assert str(error.value) == f"ResRL: q_low={q_low} must be in [0, q_high), and q_high is {q_high}"


@pytest.mark.parametrize(
    "settings",
    [
        {"rank": 1},
        {"min_positive_tokens": 2, "max_positive_tokens": 2},
        {"q_low": 0, "q_high": 1},
        {"xi": 0},
        {"xi": 1},
        {"lambda_pos": 0},
        {"lambda_pos": 7.5},
        {"positive_threshold": -3.5},
        {"layer": -2},
        {"layer": 0},
        {"layer": "middle"},
    ],
)
def test_ends_of_the_ranges_are_allowed(settings: dict[str, Any]) -> None:
    config = ResRLConfig(**settings)
    assert {name: getattr(config, name) for name in settings} == settings


# -- length scale --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("num_tokens", "factor"),
    [(0, 1.0), (1, 1.0), (3499, 1.0), (3500, 1.0), (3798, 0.85), (3649, 0.925), (4096, 0.7), (4097, 0.7), (10**6, 0.7)],
)
def test_length_factor_by_hand(num_tokens: int, factor: float) -> None:
    assert LengthScale().factor(num_tokens) == pytest.approx(factor, rel=1e-12)
    assert LengthScale().scale(2.0, num_tokens) == pytest.approx(2 * factor, rel=1e-12)


@given(st.integers(min_value=3500, max_value=4095))
def test_length_factor_is_linear_in_between(num_tokens: int) -> None:
    scale = LengthScale()
    step = scale.factor(num_tokens) - scale.factor(num_tokens + 1)
    assert step == pytest.approx(0.3 / 596, rel=1e-9)


@given(st.floats(max_value=0, allow_nan=False), st.integers(min_value=0, max_value=10_000))
def test_only_positive_rewards_are_scaled(reward: float, num_tokens: int) -> None:
    assert LengthScale().scale(reward, num_tokens) == reward


def test_length_scale_takes_other_settings() -> None:
    scale = LengthScale(start=0, end=10, floor=0.0)
    assert [scale.factor(n) for n in (0, 5, 10, 20)] == pytest.approx([1.0, 0.5, 0.0, 0.0])
    assert LengthScale(floor=1.0).factor(10**6) == 1.0


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"start": 4096}, "start=4096, end=4096"),
        ({"start": 5000}, "start=5000, end=4096"),
        ({"start": -1}, "start=-1, end=4096"),
        ({"end": 10}, "start=3500, end=10"),
        ({"floor": -0.1}, r"floor=-0.1 must be in \[0, 1\]"),
        ({"floor": 1.1}, r"floor=1.1 must be in \[0, 1\]"),
        ({"floor": math.nan}, r"floor=nan must be in \[0, 1\]"),
    ],
)
def test_length_scale_out_of_range_is_named(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=f"^ResRL: length scale .*{named}"):
        LengthScale(**settings)
