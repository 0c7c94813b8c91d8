# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The engine against Hugging Face's own hidden states: the same weights, whatever verl does to a batch."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, Qwen3ForCausalLM
from verl.utils import tensordict_utils as tu

from tests.integration.engines import (
    ARCHITECTURES,
    last_layer_inputs,
    make_batch,
    make_engine,
    save_model,
    show_residuals,
)
from verl_resrl import ResRLConfig, token_weights
from verl_resrl.integration.advantages import weighted_advantages
from verl_resrl.integration.failed_rewards import Expected, MissingResponsesError
from verl_resrl.integration.tap import find_decoder_layers, layer_index

RESRL = {"rank": 5}
# two active groups, one without negatives, one without positives, one row of padding; unequal lengths
SEQUENCES = [
    ("a", 3, 7, 1.0),
    ("b", 5, 4, 0.0),
    ("a", 3, 9, 0.0),
    ("b", 5, 11, 1.0),
    ("c", 2, 6, 1.0),
    ("d", 4, 8, 0.0),
    ("a", 3, 5, 0.0),
    ("pad0", 1, 1, 0.0),
]


def expected(folder: Path, data: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights and residuals of every response token, from Hugging Face's hidden states."""
    states = last_layer_inputs(folder, data)
    sequence_ids = torch.repeat_interleave(torch.arange(len(states)), torch.tensor([len(s) for s in states]))
    uids = [uid for uid, *_ in SEQUENCES]
    out = token_weights(
        torch.cat(states),
        sequence_ids,
        torch.tensor([uids.index(uid) for uid in uids]),
        torch.tensor([reward > 0 for *_, reward in SEQUENCES]),
        config=ResRLConfig(**RESRL),
        seed=42,
    )
    return out.weights, out.residual


def infer(engine: Any, data: Any, **settings: Any) -> dict[str, torch.Tensor]:
    """Run the old_log_prob pass as verl's worker does."""
    defaults = {
        "use_remove_padding": engine.model_config.use_remove_padding,
        "use_dynamic_bsz": False,
        "micro_batch_size_per_gpu": len(SEQUENCES),
        "use_fused_kernels": engine.model_config.use_fused_kernels,
    }
    tu.assign_non_tensor(data, **(defaults | settings))
    with engine.eval_mode():
        return engine.infer_batch(data)["model_output"]


def tapped_states(engine: Any) -> dict[str, torch.Tensor]:
    """Fills with the hidden states that the engine taps in its next pass, and of which tokens they are."""
    tapped: dict[str, torch.Tensor] = {}
    weigh = engine._weigh

    def spy(batch: Any, states: Any, *others: Any) -> Any:
        tapped["wanted"], tapped["hidden"] = batch.wanted, states.hidden()
        return weigh(batch, states, *others)

    engine._weigh = spy
    return tapped


@pytest.fixture(scope="module")
def qwen3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # tied: verl's fused kernels read the output head outside its FSDP2 unit, which an untied one does not survive
    return save_model("Qwen3", tmp_path_factory.mktemp("qwen3"), tie_word_embeddings=True)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_tap_is_hidden_states_minus_2(architecture: str, tmp_path: Path) -> None:
    folder = save_model(architecture, tmp_path)
    data = make_batch(SEQUENCES)
    states = torch.cat(last_layer_inputs(folder, data))
    engine = make_engine(folder, RESRL)
    tapped = tapped_states(engine)
    infer(engine, data)
    assert tapped["wanted"].sum() == 7 + 4 + 9 + 11 + 5  # tokens of active groups only
    torch.testing.assert_close(tapped["hidden"], states[tapped["wanted"]], rtol=1e-4, atol=1e-4)


VARIANTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "padded": ({}, {}),
    "remove_padding": ({"use_remove_padding": True}, {}),
    "micro_batch_1": ({}, {"micro_batch_size_per_gpu": 1}),
    "micro_batch_2_remove_padding": ({"use_remove_padding": True}, {"micro_batch_size_per_gpu": 2}),
    "dynamic": ({}, {"use_dynamic_bsz": True, "max_token_len_per_gpu": 30}),
    "dynamic_remove_padding": ({"use_remove_padding": True}, {"use_dynamic_bsz": True, "max_token_len_per_gpu": 30}),
    "gradient_checkpointing_off": ({"enable_gradient_checkpointing": False}, {}),
    "fused_kernels": ({"use_fused_kernels": True, "fused_kernel_options": {"impl_backend": "torch"}}, {}),
    "fused_kernels_remove_padding": (
        {"use_fused_kernels": True, "fused_kernel_options": {"impl_backend": "torch"}, "use_remove_padding": True},
        {},
    ),
    "lora": ({"lora_rank": 4, "target_modules": "all-linear"}, {}),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_weights_do_not_depend_on_how_verl_runs_the_batch(
    variant: str, qwen3: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # verl's fused kernels replace the forward of the class: put it back for the tests that follow
    monkeypatch.setattr(Qwen3ForCausalLM, "forward", Qwen3ForCausalLM.forward)
    model_options, settings = VARIANTS[variant]
    show_residuals(monkeypatch)
    data = make_batch(SEQUENCES)
    weights, residual = expected(qwen3, data)
    output = infer(make_engine(qwen3, RESRL, model_options), data, **settings)
    assert [len(row) for row in output["resrl_weights"].unbind()] == [response for _, _, response, _ in SEQUENCES]
    torch.testing.assert_close(output["resrl_weights"].values(), weights, rtol=0, atol=1e-3)
    torch.testing.assert_close(output["resrl_residual"].values(), residual, rtol=1e-3, atol=1e-5, equal_nan=True)
    assert "resrl_row" not in data


def test_static_packing_pad_is_stripped(qwen3: Path) -> None:
    data = make_batch(SEQUENCES)
    weights, _ = expected(qwen3, data)
    engine = make_engine(
        qwen3, RESRL, {"use_remove_padding": True}, pad_to_length=True, pad_to_length_bucket=64, use_remove_padding=True
    )
    output = infer(engine, data)
    torch.testing.assert_close(output["resrl_weights"].values(), weights, rtol=0, atol=1e-3)


def test_masked_tokens_get_no_weight_and_do_not_count(qwen3: Path) -> None:
    """Tool output in a response: not generated by the model."""
    data = make_batch(SEQUENCES)
    masks = [row.clone() for row in data["response_mask"].unbind()]
    masks[2][3:6] = 0
    masks[3][1:4] = 0
    data["response_mask"] = torch.nested.as_nested_tensor(masks, layout=torch.jagged)
    states = last_layer_inputs(qwen3, data)
    kept = [state[mask.bool()] for state, mask in zip(states, masks, strict=True)]
    uids = [uid for uid, *_ in SEQUENCES]
    truth = token_weights(
        torch.cat(kept),
        torch.repeat_interleave(torch.arange(len(kept)), torch.tensor([len(k) for k in kept])),
        torch.tensor([uids.index(uid) for uid in uids]),
        torch.tensor([reward > 0 for *_, reward in SEQUENCES]),
        config=ResRLConfig(**RESRL),
        seed=42,
    )
    output = infer(make_engine(qwen3, RESRL), data)
    everything = torch.cat(masks).bool()
    weights = output["resrl_weights"].values()
    torch.testing.assert_close(weights[everything], truth.weights, rtol=0, atol=1e-3)
    assert (weights[~everything] == 1).all()


def test_second_log_prob_pass_keeps_the_weights(qwen3: Path) -> None:
    """With LoRA the reference policy's pass is a second one on the same batch."""
    data = make_batch(SEQUENCES)
    engine = make_engine(qwen3, RESRL)
    data["resrl_weights"] = infer(engine, data)["resrl_weights"]
    assert "resrl_weights" not in infer(engine, data)


def test_log_probs_are_those_of_verl(qwen3: Path) -> None:
    ours = infer(make_engine(qwen3, RESRL), make_batch(SEQUENCES))
    verls = infer(make_engine(qwen3), make_batch(SEQUENCES))
    assert torch.equal(ours["log_probs"].values(), verls["log_probs"].values())
    assert set(ours) - set(verls) == {"resrl_weights"}


def test_no_positive_in_the_batch(qwen3: Path) -> None:
    data = make_batch([(uid, p, r, 0.0) for uid, p, r, _ in SEQUENCES])
    engine = make_engine(qwen3, RESRL)
    output = infer(engine, data)
    assert (output["resrl_weights"].values() == 1).all()
    assert engine._metrics["resrl/active_group_frac"] == 0
    assert engine._metrics["resrl/inactive_all_negative_frac"] == 1


def test_group_metrics_count_by_reason(qwen3: Path) -> None:
    engine = make_engine(qwen3, RESRL)
    infer(engine, make_batch(SEQUENCES))
    assert engine._metrics["resrl/active_group_frac"] == 2 / 4  # the row of padding is no group
    assert engine._metrics["resrl/inactive_all_positive_frac"] == 1 / 4
    assert engine._metrics["resrl/inactive_all_negative_frac"] == 1 / 4
    assert engine._metrics["resrl/inactive_few_tokens_frac"] == 0
    assert 0 < engine._metrics["resrl/coverage"] <= 1


def test_nan_reward_stops(qwen3: Path) -> None:
    sequences = list(SEQUENCES)
    sequences[1] = ("b", 5, 4, float("nan"))
    with pytest.raises(ValueError, match="reward of 1 responses is not finite; here: nan of a response to prompt "):
        infer(make_engine(qwen3, RESRL), make_batch(sequences))


def test_non_finite_hidden_states_stop(qwen3: Path) -> None:
    engine = make_engine(qwen3, RESRL)
    with torch.no_grad():
        embedding = engine.module.model.embed_tokens.weight
        embedding.copy_(torch.full_like(embedding, float("nan")))
    with pytest.raises(ValueError, match="NaN or infinite"):
        infer(engine, make_batch(SEQUENCES))


@pytest.mark.parametrize("remove_padding", [False, True])
@pytest.mark.parametrize(
    ("settings", "index"),
    [
        ({"hidden_state_at": "consuming"}, -2),
        ({"layer": "penultimate"}, -3),
        ({"layer": 0, "hidden_state_at": "consuming"}, 0),
    ],
)
def test_state_and_layer_are_those_of_hugging_face(
    settings: dict[str, Any], index: int, remove_padding: bool, qwen3: Path
) -> None:
    data = make_batch(SEQUENCES)
    states = torch.cat(last_layer_inputs(qwen3, data, index, settings.get("hidden_state_at", "predicting")))
    engine = make_engine(qwen3, RESRL | settings, {"use_remove_padding": remove_padding})
    tapped = tapped_states(engine)
    infer(engine, data, micro_batch_size_per_gpu=2)
    torch.testing.assert_close(tapped["hidden"], states[tapped["wanted"]], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("layer", "index"), [("last", 3), ("penultimate", 2), ("middle", 2), (1, 1), (-2, 3), (-5, 0)])
def test_layer_index(layer: str | int, index: int) -> None:
    assert layer_index(layer, 4) == index


@pytest.mark.parametrize("layer", [4, -1, -6, 10**9])
def test_layer_that_the_model_lacks_is_named(layer: int) -> None:
    with pytest.raises(ValueError, match=rf"resrl.layer={layer} does not fit this model of 4 decoder layers.* 0 to 3"):
        layer_index(layer, 4)


def test_penultimate_of_one_layer_is_named() -> None:
    with pytest.raises(ValueError, match=r"resrl\.layer=penultimate does not fit this model of 1 decoder layers"):
        layer_index("penultimate", 1)


def test_controls_move_the_weights_of_residuals(qwen3: Path) -> None:
    weights = {}
    for name, changes in {"residual": {}, "uniform": {"weighting": "uniform"}, "shuffled": {"shuffle": True}}.items():
        engine = make_engine(qwen3, RESRL | changes)
        weights[name] = [row.double() for row in infer(engine, make_batch(SEQUENCES))["resrl_weights"].unbind()]
    for group, rows in {"a": [2, 6], "b": [1]}.items():
        residual, uniform, shuffled = (torch.cat([weights[w][row] for row in rows]) for w in weights)
        assert residual.std() > 0.1, group
        torch.testing.assert_close(uniform, residual.mean().expand_as(uniform), rtol=0, atol=1e-6)
        torch.testing.assert_close(shuffled.sort().values, residual.sort().values, rtol=0, atol=1e-6)
        assert (shuffled - residual).abs().max() > 0.1, group
    for rows in weights.values():
        assert all((rows[row] == 1).all() for row in (0, 3, 4, 5, 7))  # positive, or of a group without weights


@pytest.mark.parametrize("remove_padding", [False, True])
def test_entropy_takes_the_place_of_the_residual(remove_padding: bool, qwen3: Path) -> None:
    data = make_batch(SEQUENCES)
    engine = make_engine(qwen3, RESRL | {"weighting": "entropy"}, {"use_remove_padding": remove_padding})
    weights = infer(engine, data, micro_batch_size_per_gpu=2)["resrl_weights"].unbind()
    model = AutoModelForCausalLM.from_pretrained(qwen3, dtype=torch.float64, attn_implementation="sdpa").eval()
    for rows in ([2, 6], [1]):  # negatives of the two active groups
        entropies = []
        for row in rows:
            ids, response = data["input_ids"][row], SEQUENCES[row][2]
            with torch.no_grad():
                logits = model(input_ids=ids[None]).logits[0, len(ids) - response - 1 : len(ids) - 1]
            entropies.append(torch.distributions.Categorical(logits=logits).entropy())
        entropy = torch.cat(entropies)
        low, high = torch.quantile(entropy, torch.tensor([0.2, 0.8], dtype=torch.float64))
        truth = 0.1 + 0.9 * ((entropy - low) / (high - low)).clamp(0, 1)
        torch.testing.assert_close(torch.cat([weights[row] for row in rows]).double(), truth, rtol=0, atol=1e-3)


def test_unknown_layers_stop(qwen3: Path) -> None:
    with pytest.raises(ValueError, match="cannot tell which modules of Linear are its 3 decoder layers"):
        find_decoder_layers(torch.nn.Linear(2, 2), 3)


def policy_loss(loss_mode: str) -> Any:
    from functools import partial

    from verl.workers.config import FSDPActorConfig, PolicyLossConfig
    from verl.workers.utils.losses import ppo_loss

    config = FSDPActorConfig(
        strategy="fsdp2",
        rollout_n=1,
        ppo_micro_batch_size_per_gpu=4,
        use_dynamic_bsz=False,
        policy_loss=PolicyLossConfig(loss_mode=loss_mode),
    )
    return partial(ppo_loss, config=config)


def train(engine: Any, data: Any, loss_mode: str, micro_batch_size_per_gpu: int = 4, **settings: Any) -> dict[str, Any]:
    tu.assign_non_tensor(
        data,
        micro_batch_size_per_gpu=micro_batch_size_per_gpu,
        global_batch_size=len(SEQUENCES),
        use_dynamic_bsz=False,
        **settings,
    )
    with engine.train_mode():
        return engine.train_batch(data, loss_function=policy_loss(loss_mode))["metrics"]


def with_advantages(data: Any, log_probs: torch.Tensor, sequences: Sequence[Any] = SEQUENCES) -> Any:
    """What the driver adds between the two passes."""
    shifted = [
        row[len(row) - len(response) - 1 : len(row) - 1]
        for row, response in zip(log_probs.unbind(), data["responses"].unbind(), strict=True)
    ]
    data["old_log_probs"] = torch.nested.as_nested_tensor(shifted, layout=torch.jagged)
    signs = [0.1 if reward > 0 else -1.0 for *_, reward in sequences]
    advantages = [sign * torch.ones(response) for sign, (_, _, response, _) in zip(signs, sequences, strict=True)]
    data["advantages"] = torch.nested.as_nested_tensor(advantages, layout=torch.jagged)
    return data


def test_update_uses_weighted_advantages(qwen3: Path) -> None:
    """One step of our engine is one step of verl's engine whose advantages were multiplied beforehand."""
    data = make_batch(SEQUENCES)
    engine = make_engine(qwen3, RESRL)
    output = infer(engine, data)
    weights = output["resrl_weights"]
    data = with_advantages(data, output["log_probs"])
    data["resrl_weights"] = weights
    untouched = data["advantages"].values().clone()
    ours = train(engine, data, "vanilla")
    assert torch.equal(data["advantages"].values(), untouched)  # a second epoch starts from the same advantages

    plain_data = make_batch(SEQUENCES)
    plain = make_engine(qwen3)
    plain_data = with_advantages(plain_data, infer(plain, plain_data)["log_probs"])
    product = [a * w for a, w in zip(plain_data["advantages"].unbind(), weights.unbind(), strict=True)]
    plain_data["advantages"] = torch.nested.as_nested_tensor(product, layout=torch.jagged)
    theirs = train(plain, plain_data, "vanilla")
    assert ours["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=1e-6)
    unweighted = make_engine(qwen3)
    other_data = make_batch(SEQUENCES)
    other = train(unweighted, with_advantages(other_data, infer(unweighted, other_data)["log_probs"]), "vanilla")
    assert abs(other["grad_norm"] - theirs["grad_norm"]) > 0.01 * theirs["grad_norm"]

    negative = untouched < 0
    scale = (untouched * weights.values())[negative].sum() / untouched[negative].sum()
    assert ours["resrl/negative_advantage_scale"] == [pytest.approx(scale.item())]
    assert ours["resrl/positive_logp_shift"] == [pytest.approx(0, abs=1e-5)]  # on-policy: nothing has moved yet
    assert ours["resrl/active_group_frac"] == [0.5]


@pytest.mark.parametrize("loss_mode", ["vanilla", "gspo", "geo_mean", "cispo"])
def test_shift_of_positive_responses_under_every_loss(qwen3: Path, loss_mode: str) -> None:
    """The old policy is made to differ by a known amount, another one for each kind of response."""
    engine, data = make_engine(qwen3, RESRL), make_batch(SEQUENCES)
    output = infer(engine, data)
    data = with_advantages(data, output["log_probs"])
    data["resrl_weights"] = output["resrl_weights"]
    shifts = [0.25 if reward > 0 else -0.5 for *_, reward in SEQUENCES]
    old = [row - shift for row, shift in zip(data["old_log_probs"].unbind(), shifts, strict=True)]
    data["old_log_probs"] = torch.nested.as_nested_tensor(old, layout=torch.jagged)
    metrics = train(engine, data, loss_mode, micro_batch_size_per_gpu=2)
    assert metrics["resrl/positive_logp_shift"] == [pytest.approx(0.25, abs=1e-5)]


@pytest.mark.parametrize(("estimator", "factor"), [("resrl", 1.0), ("w_reinforce", 1.0), ("grpo", 0.1), ("rloo", 0.1)])
def test_lambda_pos_is_applied_once(estimator: str, factor: float) -> None:
    """The estimators resrl and w_reinforce have applied it on the driver."""
    data = make_batch(SEQUENCES)
    ones = [torch.ones(len(response)) for response in data["responses"].unbind()]
    data["advantages"] = torch.nested.as_nested_tensor(ones, layout=torch.jagged)
    rows = weighted_advantages(data, None, ResRLConfig(lambda_pos=0.1), estimator).unbind()
    for row, (*_, reward) in zip(rows, SEQUENCES, strict=True):
        torch.testing.assert_close(row, torch.full_like(row, factor if reward > 0 else 1.0))


def test_tokens_that_are_masked_after_the_pass_were_weighed_and_do_not_enter_the_update(qwen3: Path) -> None:
    """As verl's rejection sampling does: weights are those of all tokens that the model generated."""
    engine, data = make_engine(qwen3, RESRL), make_batch(SEQUENCES)
    output = infer(engine, data)
    rejected = 2  # a negative sequence of an active group
    data = with_advantages(data, output["log_probs"])
    data["resrl_weights"] = output["resrl_weights"]
    masks = [mask * (row != rejected) for row, mask in enumerate(data["response_mask"].unbind())]
    data["response_mask"] = torch.nested.as_nested_tensor(masks, layout=torch.jagged)
    weights = output["resrl_weights"][rejected]
    assert len(weights[weights < 1]) > 0
    norms = []
    for other in (1.0, 0.1):  # whatever its weights are
        copy = data.copy()
        rows = [row * 0 + other if i == rejected else row for i, row in enumerate(data["resrl_weights"].unbind())]
        copy["resrl_weights"] = torch.nested.as_nested_tensor(rows, layout=torch.jagged)
        norms.append(train(make_engine(qwen3, RESRL), copy, "vanilla")["grad_norm"])
    assert norms[0] == pytest.approx(norms[1], rel=1e-6)


def test_missing_responses_stop_the_run_or_are_counted(qwen3: Path) -> None:
    """Verl leaves out responses whose reward failed, and groups of which all failed."""
    sizes = Counter(uid for uid, *_ in SEQUENCES if not uid.startswith("pad"))
    rollouts, prompts = max(sizes.values()), len(sizes) + 1
    missing = sum(rollouts - size for size in sizes.values()) + rollouts
    engine = make_engine(qwen3, RESRL | {"on_failure": "fallback"})
    engine._expected = Expected(rollouts, prompts)
    data = make_batch(SEQUENCES)
    output = infer(engine, data)
    data = with_advantages(data, output["log_probs"])
    data["resrl_weights"] = output["resrl_weights"]
    assert train(engine, data, "vanilla")["resrl/reward_failures"] == [missing]
    stopping = make_engine(qwen3, RESRL)
    stopping._expected = Expected(rollouts, prompts)
    with pytest.raises(MissingResponsesError, match=rf"^ResRL: {missing} responses of step .* are missing: [^\n]*$"):
        infer(stopping, make_batch(SEQUENCES))


def test_update_without_weights_stops(qwen3: Path) -> None:
    data = make_batch(SEQUENCES)
    engine = make_engine(qwen3, RESRL)
    data = with_advantages(data, infer(engine, data)["log_probs"])
    with pytest.raises(RuntimeError, match="bypass_mode=False"):
        train(engine, data, "vanilla")


# four active groups; one without negatives, whose positive sequence has no proxy to be compared with
DISPLACED = [
    *((uid, 3, length, reward) for uid in "abcd" for length, reward in ((5, 1.0), (7, 0.0), (4, 1.0))),
    ("e", 2, 6, 1.0),
    ("pad0", 1, 1, 0.0),
]


def displaced_batch() -> Any:
    """The first response has two tokens that the model did not generate."""
    data = make_batch(DISPLACED)
    masks = [row.clone() for row in data["response_mask"].unbind()]
    masks[0][1:3] = 0
    data["response_mask"] = torch.nested.as_nested_tensor(masks, layout=torch.jagged)
    return data


def mean_log_probs(engine: Any) -> torch.Tensor:
    """Mean log-probability of each response under the engine's present weights, by verl's pass without ours."""
    data = displaced_batch()
    data["resrl_weights"] = data["response_mask"]  # has weights already: the pass is verl's own
    rows = with_advantages(data, infer(engine, data, micro_batch_size_per_gpu=2)["log_probs"], DISPLACED)
    pairs = zip(rows["old_log_probs"].unbind(), data["response_mask"].unbind(), strict=True)
    return torch.stack([row[mask.bool()].double().mean() for row, mask in pairs])


@pytest.mark.parametrize("settings", [{"micro_batch_size_per_gpu": 2}, {"use_dynamic_bsz": True}])
def test_displacement_is_measured_after_the_last_mini_batch(
    settings: dict[str, Any], qwen3: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    show_residuals(monkeypatch)
    engine = make_engine(qwen3, RESRL | {"measure_lld": True})
    before = mean_log_probs(engine)
    data = displaced_batch()
    output = infer(engine, data, max_token_len_per_gpu=40, **settings)
    data = with_advantages(data, output["log_probs"], DISPLACED)
    for name in ("resrl_weights", "resrl_interference"):
        data[name] = output[name]
    first, last = tu.index_select_tensor_dict(data, list(range(6))), tu.index_select_tensor_dict(data, [*range(6, 14)])
    measured = train(engine, first, "vanilla", micro_batch_size_per_gpu=2)
    assert [name for name in measured if "lld" in name] == ["resrl/lld_predicted"]
    measured = train(engine, last, "vanilla", micro_batch_size_per_gpu=2, update_lr_scheduler=True)
    change = mean_log_probs(engine) - before

    alignment = output["resrl_alignment"].unbind()
    proxy = torch.stack([alignment[3 * group + 1].double().mean() for group in range(4)])
    change = torch.stack([change[[3 * group, 3 * group + 2]].mean() for group in range(4)])
    assert change.abs().min() > 1e-3
    assert measured["resrl/lld_proxy"] == [pytest.approx(proxy.mean().item(), rel=1e-6)]
    assert measured["resrl/lld_measured"] == [pytest.approx(change.mean().item(), rel=1e-4)]
    ranks = torch.stack([proxy.argsort().argsort(), (-change).argsort().argsort()]).double()
    assert measured["resrl/lld_rank_correlation"] == [pytest.approx(torch.corrcoef(ranks)[0, 1].item())]
    score = output["resrl_interference"].unbind()
    proxy = torch.stack([score[3 * group + 1].double().mean() for group in range(4)])
    ranks[0] = proxy.argsort().argsort()
    correlation = [pytest.approx(torch.corrcoef(ranks)[0, 1].item())]
    assert measured["resrl/lld_rank_correlation_interference"] == correlation
    pushes = sum((-output["resrl_weights"][row] * score[row]).double().sum().item() for row in (7, 10))
    assert measured["resrl/lld_predicted"] == [pytest.approx(pushes / (5 + 4 + 5 + 4), rel=1e-5)]
    again = train(engine, last, "vanilla", micro_batch_size_per_gpu=2, update_lr_scheduler=True)
    assert [name for name in again if "lld" in name] == ["resrl/lld_predicted"]  # once for each old_log_prob pass


def test_displacement_without_an_active_group_is_not_measured(qwen3: Path) -> None:
    engine = make_engine(qwen3, RESRL | {"measure_lld": True})
    data = make_batch([(uid, p, r, 1.0) for uid, p, r, _ in SEQUENCES])
    output = infer(engine, data)
    data = with_advantages(data, output["log_probs"])
    data["resrl_weights"] = output["resrl_weights"]
    assert not any("lld" in name for name in train(engine, data, "vanilla", update_lr_scheduler=True))


def test_weight_histogram(qwen3: Path) -> None:
    engine = make_engine(qwen3, RESRL)
    weights = infer(engine, make_batch(SEQUENCES))["resrl_weights"].unbind()
    bins = [engine._metrics[f"resrl/weight_bin_{i}"] for i in range(10)]
    ours = torch.cat([weights[row] for row in (1, 2, 6)])  # negatives of active groups
    counts = [int(((ours >= i / 10) & ((ours < (i + 1) / 10) | (i == 9))).sum()) for i in range(10)]
    assert bins == pytest.approx([count / len(ours) for count in counts])
    assert counts[0] == 0
    assert counts[1] > 0
    assert counts[9] > 0
