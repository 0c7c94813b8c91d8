# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The engine against Hugging Face's own hidden states: the same weights, whatever verl does to a batch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Qwen3ForCausalLM
from verl.utils import tensordict_utils as tu

from tests.engines import ARCHITECTURES, last_layer_inputs, make_batch, make_engine, save_model
from verl_resrl import ResRLConfig, token_weights
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
    tapped = {}
    compute = engine._compute_weights

    def spy(batch: Any, response_states: Any, exchange: Any) -> Any:
        tapped["wanted"], tapped["hidden"] = batch.wanted, response_states.hidden()
        return compute(batch, response_states, exchange)

    engine._compute_weights = spy
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
    assert set(ours) - set(verls) == {"resrl_weights", "resrl_residual", "resrl_alignment"}


def test_no_positive_in_the_batch(qwen3: Path) -> None:
    data = make_batch([(uid, p, r, 0.0) for uid, p, r, _ in SEQUENCES])
    engine = make_engine(qwen3, RESRL)
    output = infer(engine, data)
    assert (output["resrl_weights"].values() == 1).all()
    assert output["resrl_residual"].values().isnan().all()
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
    with pytest.raises(ValueError, match="reward of 1 of 8 sequences is not finite"):
        infer(make_engine(qwen3, RESRL), make_batch(sequences))


def test_non_finite_hidden_states_stop(qwen3: Path) -> None:
    engine = make_engine(qwen3, RESRL)
    with torch.no_grad():
        embedding = engine.module.model.embed_tokens.weight
        embedding.copy_(torch.full_like(embedding, float("nan")))
    with pytest.raises(ValueError, match="NaN or infinite"):
        infer(engine, make_batch(SEQUENCES))


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


def train(engine: Any, data: Any, loss_mode: str, micro_batch_size_per_gpu: int = 4) -> dict[str, Any]:
    tu.assign_non_tensor(
        data, micro_batch_size_per_gpu=micro_batch_size_per_gpu, global_batch_size=len(SEQUENCES), use_dynamic_bsz=False
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
    ours = train(engine, data, "resrl")
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


def test_update_without_weights_stops(qwen3: Path) -> None:
    data = make_batch(SEQUENCES)
    engine = make_engine(qwen3, RESRL)
    data = with_advantages(data, infer(engine, data)["log_probs"])
    with pytest.raises(RuntimeError, match="bypass_mode=False"):
        train(engine, data, "resrl")
