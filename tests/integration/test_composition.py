# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""``+method=``, ``+device=``, ``+reward_manager=`` with verl's own entry point, and the plugin on, off and broken."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from importlib.metadata import entry_points
from types import SimpleNamespace
from typing import Any

import pytest
from hydra import compose, initialize_config_module
from omegaconf import DictConfig, OmegaConf
from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY
from verl.utils.config import omega_conf_to_dataclass, validate_config
from verl.workers.config import FSDPActorConfig, FSDPEngineConfig
from verl.workers.engine import EngineRegistry
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead

from verl_resrl import ResRLConfig

CONTROLS = {
    "resrl_uniform": {"resrl.weighting": "uniform"},
    "resrl_shuffled": {"resrl.shuffle": True},
    "resrl_entropy": {"resrl.weighting": "entropy"},
    "resrl_interference": {"resrl.weighting": "interference"},
    "nthr": {"resrl.weighting": "nthr", "resrl.lambda_pos": 1.0},
}
WITH_ENGINE = ("resrl", *CONTROLS)
METHODS = ("grpo", "dapo", "grpo_pos", "psr", "nsr", "w_reinforce", *WITH_ENGINE)
# without it, verl wants a size of the micro-batches, for which it has no default
DYNAMIC = "actor_rollout_ref.actor.use_dynamic_bsz=True"
SETTINGS = (
    "rank",
    "max_positive_tokens",
    "min_positive_tokens",
    "q_low",
    "q_high",
    "xi",
    "lambda_pos",
    "positive_threshold",
    "max_workspace_gb",
    "hidden_offload",
    "on_failure",
    "weighting",
    "hidden_state_at",
    "layer",
    "measure_lld",
    "shuffle",
    "beta",
    "top_tokens",
)


@cache
def composed(*overrides: str) -> DictConfig:
    """Compose as ``python -m verl.trainer.main_ppo`` does."""
    with initialize_config_module("verl.trainer.config", version_base=None):
        return compose("ppo_trainer", overrides=list(overrides))


def flat(config: Any, prefix: str = "") -> dict[str, Any]:
    """Leaves under their dotted names; references stay as they are written."""
    if isinstance(config, DictConfig):
        config = OmegaConf.to_container(config, resolve=False)
    if isinstance(config, dict) and config:
        leaves: dict[str, Any] = {}
        for key, value in config.items():
            leaves |= flat(value, f"{prefix}.{key}" if prefix else str(key))
        return leaves
    return {prefix: config}


@cache
def flat_composed(*overrides: str) -> dict[str, Any]:
    """Leaves of what some overrides compose to, which takes a second; not to be changed."""
    return flat(composed(*overrides))


def difference(base: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Leaves of ``other`` that ``base`` lacks or has otherwise; None for those that are gone."""
    changed = {key: value for key, value in other.items() if key not in base or base[key] != value}
    return changed | dict.fromkeys(set(base) - set(other))


@pytest.fixture(scope="module")
def grpo() -> dict[str, Any]:
    return flat(composed("+method=grpo"))


# what the switch from GRPO changes, and nothing else
EXPECTED_DIFFERENCE: dict[str, dict[str, Any]] = {
    "grpo": {},
    "resrl": {
        **{f"resrl.{name}": getattr(ResRLConfig(), name) for name in SETTINGS},
        "algorithm.adv_estimator": "resrl",
        "algorithm.resrl": "${resrl}",
        "actor_rollout_ref.model.model_type": "resrl",
        "actor_rollout_ref.actor.fsdp_config._target_": "verl_resrl.integration.fsdp.ResRLFSDPEngineConfig",
        "actor_rollout_ref.ref.fsdp_config._target_": "verl_resrl.integration.fsdp.FSDPEngineConfig",
        "actor_rollout_ref.actor.fsdp_config.resrl": "${resrl}",
        "actor_rollout_ref.actor.fsdp_config.bypass_mode": "${algorithm.rollout_correction.bypass_mode}",
        "actor_rollout_ref.actor.fsdp_config.actor_strategy": "${actor_rollout_ref.actor.strategy}",
        "actor_rollout_ref.actor.fsdp_config.adv_estimator": "${algorithm.adv_estimator}",
        "actor_rollout_ref.actor.fsdp_config.rollouts": "${actor_rollout_ref.rollout.n}",
        "actor_rollout_ref.actor.fsdp_config.prompts": "${data.train_batch_size}",
        "actor_rollout_ref.actor.fsdp_config.trainer_mode": "${trainer.v1.trainer_mode}",
    },
    "psr": {"algorithm.adv_estimator": "psr", "algorithm.resrl": "${resrl}", "resrl.positive_threshold": 0.0},
    "nsr": {"algorithm.adv_estimator": "nsr", "algorithm.resrl": "${resrl}", "resrl.positive_threshold": 0.0},
    "w_reinforce": {
        "algorithm.adv_estimator": "w_reinforce",
        "algorithm.resrl": "${resrl}",
        "resrl.lambda_pos": 0.1,
        "resrl.positive_threshold": 0.0,
    },
    "grpo_pos": {
        "algorithm.adv_estimator": "resrl",
        "algorithm.resrl": "${resrl}",
        "algorithm.resrl_rollouts": "${actor_rollout_ref.rollout.n}",
        "resrl.lambda_pos": 0.1,
        "resrl.positive_threshold": 0.0,
    },
    "dapo": {
        "algorithm.filter_groups.enable": True,
        "actor_rollout_ref.actor.clip_ratio_high": 0.28,
        "actor_rollout_ref.actor.clip_ratio_c": 10.0,
        "reward.reward_manager.name": "dapo",
        "reward.reward_kwargs.max_resp_len": "${data.max_response_length}",
        "reward.reward_kwargs.overlong_buffer_cfg.enable": False,
        "reward.reward_kwargs.overlong_buffer_cfg.len": 4096,
        "reward.reward_kwargs.overlong_buffer_cfg.penalty_factor": 1.0,
        "reward.reward_kwargs.overlong_buffer_cfg.log": False,
    },
}
EXPECTED_DIFFERENCE |= {control: EXPECTED_DIFFERENCE["resrl"] | changes for control, changes in CONTROLS.items()}


def test_without_a_switch_nothing_is_ours(grpo: dict[str, Any]) -> None:
    assert difference(flat_composed(), grpo) == {"algorithm.adv_estimator": "grpo"}


@pytest.mark.parametrize("method", METHODS)
def test_method_changes_what_it_should_and_nothing_else(method: str, grpo: dict[str, Any]) -> None:
    assert difference(grpo, flat_composed(f"+method={method}")) == EXPECTED_DIFFERENCE[method]


@pytest.mark.parametrize("method", METHODS)
def test_method_changes_the_same_on_a_cpu(method: str) -> None:
    base = flat_composed("+method=grpo", "+device=cpu")
    assert difference(base, flat_composed(f"+method={method}", "+device=cpu")) == EXPECTED_DIFFERENCE[method]


@pytest.mark.parametrize("overrides", [(), ("+device=cpu",)])
def test_order_of_the_switches_does_not_matter(overrides: tuple[str, ...]) -> None:
    switches = ("+method=resrl", "+reward_manager=length_scaled", *overrides)
    assert composed(*switches) == composed(*reversed(switches))


def test_length_scaled_reward_manager(grpo: dict[str, Any]) -> None:
    config = composed("+method=grpo", "+reward_manager=length_scaled")
    assert difference(grpo, flat(config)) == {
        "reward.reward_manager.source": "importlib",
        "reward.reward_manager.name": "LengthScaledRewardManager",
        "reward.reward_manager.module.path": "pkg://verl_resrl.integration.reward_manager",
        "reward.reward_kwargs.length_scale.start": 3500,
        "reward.reward_kwargs.length_scale.end": 4096,
        "reward.reward_kwargs.length_scale.floor": 0.7,
    }


def test_a_cluster_is_joined_and_told_nothing_that_it_decides() -> None:
    """Ray refuses these where it is up; null stands for not saying anything."""
    base, cluster = (flat_composed("+method=resrl", f"+device={device}") for device in ("cpu", "cpu_cluster"))
    assert base["ray_kwargs.ray_init.address"] == "local"  # else Ray joins what has been started on this machine
    assert difference(base, cluster) == {
        "ray_kwargs.ray_init.address": "auto",
        "ray_kwargs.ray_init.num_gpus": None,
        "ray_kwargs.ray_init.num_cpus": None,
        "ray_kwargs.ray_init._system_config": None,
        "ray_kwargs.ray_init._system_config.task_events_report_interval_ms": None,
    }


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("device", ["gpu", "cpu"])
def test_actor_settings_instantiate(method: str, device: str) -> None:
    overrides = ["+device=cpu"] if device == "cpu" else [DYNAMIC]
    config = composed(f"+method={method}", "+reward_manager=length_scaled", *overrides)
    actor = omega_conf_to_dataclass(config.actor_rollout_ref.actor)
    assert isinstance(actor, FSDPActorConfig)
    assert actor.engine is actor.fsdp_config
    assert actor.strategy == ("fsdp2" if device == "cpu" else "fsdp")
    if method in WITH_ENGINE:
        from verl_resrl.integration.fsdp import ResRLFSDPEngineConfig

        assert type(actor.fsdp_config) is ResRLFSDPEngineConfig
        changes = {name.removeprefix("resrl."): value for name, value in CONTROLS.get(method, {}).items()}
        assert actor.fsdp_config.resrl == ResRLConfig(**changes)
        assert actor.fsdp_config.bypass_mode is False
    else:
        assert type(actor.fsdp_config) is FSDPEngineConfig
    # the reference policy is verl's in every method
    assert type(omega_conf_to_dataclass(config.actor_rollout_ref.ref.fsdp_config)) is FSDPEngineConfig
    validate_config(config, use_reference_policy=False, use_critic=False)
    assert config.algorithm.adv_estimator in ADV_ESTIMATOR_REGISTRY


@pytest.mark.parametrize("method", ["dapo", "grpo"])
def test_sampler_of_the_cpu_filters_groups_where_verls_own_would(method: str) -> None:
    from verl.trainer.ppo.v1.trainer_base import PPOTrainer

    config = composed(f"+method={method}", "+device=cpu", "data.train_batch_size=6")
    trainer = SimpleNamespace(config=config, trainer_mode="sync", _add_prompts_to_generate=print)
    trainer._resolve_filter_groups_metric = lambda: PPOTrainer._resolve_filter_groups_metric(trainer)
    ours = PPOTrainer._build_replay_buffer(trainer)
    trainer.config = OmegaConf.merge(config, {"trainer": {"v1": {"sampler": {"custom_sampler": {"path": None}}}}})
    verls = PPOTrainer._build_replay_buffer(trainer)
    assert type(ours).__name__ == "OrderedReplayBuffer"
    assert type(verls).__name__ == "ReplayBuffer"
    assert ours.filter_groups_metric == verls.filter_groups_metric == ("reward" if method == "dapo" else None)
    if method == "dapo":
        assert ours.train_batch_size == verls.train_batch_size == 6
        assert ours.gen_batch_size == verls.gen_batch_size == 1
        assert ours.max_inflight_gen_batches == verls.max_inflight_gen_batches == 1


def test_setting_reaches_every_place_that_reads_it() -> None:
    config = composed("+method=resrl", "+device=cpu", "resrl.rank=7", "resrl.lambda_pos=0.3", "resrl.xi=0")
    expected = ResRLConfig(rank=7, lambda_pos=0.3, xi=0)
    assert omega_conf_to_dataclass(config.actor_rollout_ref.actor).fsdp_config.resrl == expected
    assert ResRLConfig(**config.algorithm.resrl) == expected


def message_at_start(*overrides: str) -> str:
    """What verl's driver stops with before it starts Ray."""
    config = composed("+method=resrl", *overrides)
    with pytest.raises(Exception, match="ResRL") as error:
        validate_config(config, use_reference_policy=False, use_critic=False)
    return str(error.value)


@pytest.mark.parametrize("device", ["gpu", "cpu"])
def test_bypass_mode_stops_at_start(device: str) -> None:
    message = message_at_start(
        "algorithm.rollout_correction.bypass_mode=True", "+device=cpu" if device == "cpu" else DYNAMIC
    )
    assert "set algorithm.rollout_correction.bypass_mode=False" in message
    assert "old_log_prob pass" in message


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("resrl.xi=2", "xi=2 must be a finite number in [0.0, 1.0]"),
        ("resrl.rank=0", "rank=0 must be an integer in [1, infinity)"),
        ("resrl.q_low=0.9", "q_low=0.9 must be in [0, q_high), and q_high is 0.8"),
        (
            "resrl.weighting=random",
            "weighting='random' must be one of residual, uniform, entropy, interference, interference_reversed, nthr",
        ),
        ("resrl.hidden_state_at=next", "hidden_state_at='next' must be one of predicting, consuming"),
        ("resrl.layer=first", "layer='first' must be an integer or one of last, penultimate, middle"),
    ],
)
def test_bad_setting_stops_at_start(override: str, named: str) -> None:
    assert f"ResRL: {named}" in message_at_start("+device=cpu", override)


@pytest.mark.parametrize(
    ("overrides", "advice"),
    [
        (("model_engine=megatron",), "the actor's is megatron: add resrl_engine=megatron"),
        (("model_engine=veomni",), "ResRL does not run on veomni"),
    ],
)
def test_another_engine_of_verl_stops_at_start(overrides: tuple[str, ...], advice: str) -> None:
    assert advice in message_at_start(DYNAMIC, *overrides)


def test_bypass_mode_is_no_concern_of_other_methods() -> None:
    config = composed("+method=w_reinforce", "+device=cpu", "algorithm.rollout_correction.bypass_mode=True")
    assert isinstance(omega_conf_to_dataclass(config.actor_rollout_ref.actor), FSDPActorConfig)


@pytest.mark.parametrize(
    ("device", "backend"), [("cuda", "fsdp"), ("cuda", "fsdp2"), ("npu", "fsdp"), ("npu", "fsdp2"), ("cpu", "fsdp2")]
)
def test_engine_resolves_once_the_settings_are_made(device: str, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = composed("+method=resrl", DYNAMIC)
    omega_conf_to_dataclass(config.actor_rollout_ref.actor)
    monkeypatch.setenv("VERL_ENGINE_DEVICE", device)
    engine = EngineRegistry.get_engine_cls(config.actor_rollout_ref.model.model_type, backend)
    assert engine.__module__ == "verl_resrl.integration.fsdp"
    assert issubclass(engine, FSDPEngineWithLMHead)
    if device != "cpu":  # runs without ResRL get verl's own engine
        assert EngineRegistry.get_engine_cls("language_model", backend) is FSDPEngineWithLMHead


def test_entry_point_is_installed_once() -> None:
    found = [point for point in entry_points(group="verl.plugins") if point.name == "verl_resrl"]
    assert [point.value for point in found] == ["verl_resrl.integration.plugin"]


# -- verl's own command line ---------------------------------------------------------------------------------------


PROBE = """
import json, sys
import verl
modules = sorted(name for name in sys.modules if name.split(".")[0] == "verl_resrl")
from verl.trainer.ppo import core_algos
from verl.workers.engine import EngineRegistry
print(json.dumps({
    "modules": modules,
    "estimators": sorted(core_algos.ADV_ESTIMATOR_REGISTRY),
    "engines": sorted(EngineRegistry._engines),
}))
"""
# Python runs it at start: here it makes the import of one of our modules fail
SABOTAGE = "import sys\nsys.modules['verl_resrl.integration.estimators'] = None\n"


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("VERL_")}
    return subprocess.run(
        [sys.executable, *arguments], env=clean | environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future]]:
    """Start every process that the tests below look at, two at a time."""
    folder = tmp_path_factory.mktemp("sabotage")
    (folder / "sitecustomize.py").write_text(SABOTAGE)
    main = ("-m", "verl.trainer.main_ppo")
    with ThreadPoolExecutor(max_workers=2) as pool:
        yield {
            "grpo": pool.submit(python, *main, "+method=grpo", "--cfg", "job"),
            "resrl": pool.submit(python, *main, "+method=resrl", "--cfg", "job"),
            "plugin on": pool.submit(python, "-c", PROBE),
            "plugin off": pool.submit(python, "-c", PROBE, VERL_USE_EXTERNAL_PLUGINS="none"),
            "plugin broken": pool.submit(python, "-c", PROBE, PYTHONPATH=str(folder)),
        }
        pool.shutdown(cancel_futures=True)


def output(process: Future) -> tuple[str, str]:
    """Return stdout and stderr of a process that succeeded."""
    result = process.result()
    assert result.returncode == 0, result.stderr
    return result.stdout, result.stderr


@pytest.fixture(scope="module")
def command_line(processes: dict[str, Future]) -> dict[str, dict[str, Any]]:
    """What ``--cfg job`` prints for GRPO and ResRL."""
    return {method: flat(OmegaConf.create(output(processes[method])[0])) for method in ("grpo", "resrl")}


def test_command_line_shows_that_method_is_the_only_difference(command_line: dict[str, dict[str, Any]]) -> None:
    assert difference(command_line["grpo"], command_line["resrl"]) == EXPECTED_DIFFERENCE["resrl"]


def test_command_line_composes_what_the_other_tests_compose(
    command_line: dict[str, dict[str, Any]], grpo: dict[str, Any]
) -> None:
    assert command_line["grpo"] == grpo


# -- the plugin in a fresh process ---------------------------------------------------------------------------------

OURS = {"resrl", "psr", "nsr", "w_reinforce"}


def probe(process: Future) -> tuple[dict[str, list[str]], str]:
    """What a process knows after the import of verl, and its log."""
    printed, log = output(process)
    return json.loads(printed.splitlines()[-1]), log


def test_import_of_verl_registers_everything_but_the_engine(processes: dict[str, Future]) -> None:
    known, log = probe(processes["plugin on"])
    assert set(known["estimators"]) >= OURS | {"grpo"}
    # heavy, and for ResRL runs only: the configuration causes its import
    assert "verl_resrl.integration.engine" not in known["modules"]
    assert "verl_resrl.cpu.backend" not in known["modules"]
    assert "resrl" not in known["engines"]
    assert "verl_resrl could not be loaded" not in log


def test_disabled_plugin_leaves_no_trace(processes: dict[str, Future]) -> None:
    known, log = probe(processes["plugin off"])
    assert known["modules"] == []
    assert not OURS & set(known["estimators"])
    assert "grpo" in known["estimators"]
    assert "resrl" not in known["engines"]
    assert "verl_resrl" not in log


def test_plugin_that_cannot_be_loaded_says_so_at_error_level(processes: dict[str, Future]) -> None:
    known, log = probe(processes["plugin broken"])
    assert not OURS & set(known["estimators"])
    errors = [line for line in log.splitlines() if line.startswith("ERROR:")]
    assert len(errors) == 1
    assert "verl_resrl could not be loaded in process" in errors[0]
    assert "NOT available" in errors[0]
    assert "VERL_USE_EXTERNAL_PLUGINS=none" in errors[0]
    assert "import of verl_resrl.integration.estimators halted" in log  # and why


def test_variables_of_verls_helpers_are_where_ray_reads_them() -> None:
    ours, verls = (composed(*overrides).ray_kwargs.ray_init.runtime_env for overrides in (("+device=cpu",), ()))
    assert set(ours) == {*verls, "env_vars"}
    assert {"VERL_PLATFORM", "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} <= set(ours.env_vars)
    assert all(isinstance(value, str) for value in ours.env_vars.values())


def test_rollouts_of_the_cpu_are_by_vllm_where_one_says_so() -> None:
    base, chosen = (flat_composed("+method=resrl", "+device=cpu", *more) for more in ((), ("rollout=vllm",)))
    rollout = "actor_rollout_ref.rollout"
    assert (base[f"{rollout}.name"], chosen[f"{rollout}.name"]) == ("hf", "vllm")
    assert {name for name in base if base[name] != chosen.get(name)} == {
        f"{rollout}.{name}" for name in ("name", "load_format", "enforce_eager", "engine_kwargs.vllm")
    }


def test_bfloat16_on_a_cpu_changes_what_is_computed_in() -> None:
    base, chosen = (flat_composed("+method=resrl", f"+device={device}") for device in ("cpu", "cpu_bf16"))
    changed = {name: chosen.get(name) for name in base if base[name] != chosen.get(name)}
    engines = (f"actor_rollout_ref.{part}.fsdp_config.mixed_precision.param_dtype" for part in ("actor", "ref"))
    assert changed == dict.fromkeys(engines, "bf16") | {"actor_rollout_ref.rollout.dtype": "bfloat16"}


REFERENCE = """
import sys
from hydra import compose, initialize_config_module
from verl.utils.config import omega_conf_to_dataclass
from verl.workers.engine import EngineRegistry

field, *overrides = sys.argv[1:]
with initialize_config_module("verl.trainer.config", version_base=None):
    config = compose("ppo_trainer", overrides=["+method=resrl", *overrides])
assert "resrl" not in EngineRegistry._engines
omega_conf_to_dataclass(config.actor_rollout_ref.ref[field])
print(*EngineRegistry._engines["resrl"])
"""


@pytest.mark.parametrize(
    ("field", "overrides", "engines"),
    [
        ("fsdp_config", (), "fsdp fsdp2"),
        ("megatron", ("model_engine=megatron", "resrl_engine=megatron"), "megatron"),
    ],
)
def test_a_reference_policy_alone_registers_the_engine(field: str, overrides: tuple[str, ...], engines: str) -> None:
    """Verl builds it before the actor, whose settings would do it too late."""
    command = [sys.executable, "-c", REFERENCE, field, *overrides]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.stdout.splitlines()[-1:] == [engines], result.stderr
