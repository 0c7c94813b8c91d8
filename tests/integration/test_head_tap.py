# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Interference in verl's engine against Hugging Face's own head inputs and whole distributions in float64."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from tests.integration.engines import ARCHITECTURES, VOCABULARY, make_batch, make_engine, save_model
from tests.integration.test_composition import composed
from tests.integration.test_engine import SEQUENCES, infer
from verl_resrl.integration.head_tap import output_head, top_predictions, unpacked
from verl_resrl.integration.start_checks import check_model, remarks
from verl_resrl.integration.start_data import StartError

EXACT = {"rank": 32, "top_tokens": VOCABULARY, "weighting": "interference"}  # all directions, the whole vocabulary


def dense(folder: Path, data: Any, temperature: float = 1.0) -> torch.Tensor:
    """``dense_of`` Hugging Face's model."""
    dtype = torch.float32 if "Moe" in AutoConfig.from_pretrained(folder).architectures[0] else torch.float64
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="sdpa").eval()
    return dense_of(lambda ids: model(input_ids=ids[None]).logits[0], model.get_output_embeddings(), data, temperature)


def dense_of(predict: Any, head: torch.nn.Module, data: Any, temperature: float) -> torch.Tensor:
    """I of every response token from gradients by the head's output; NaN where inactive.

    Args:
        predict: from (length,) tokens to (length, vocabulary) logits.
        head: of the model; its input and output come with the dimension of the batch in either place.
        data: the batch.
        temperature: of the predictions.
    """
    inputs: list[torch.Tensor] = []
    raw: list[torch.Tensor] = []

    def keep(_: Any, args: Any, output: Any) -> Any:
        rest = output[1:] if isinstance(output, tuple) else None  # Megatron returns a bias, too
        raw.append((output if rest is None else output[0]).detach().requires_grad_())
        inputs.append(args[0].detach().flatten(0, 1))
        return raw[-1] if rest is None else (raw[-1], *rest)

    hook = head.register_forward_hook(keep)
    x, delta = [], []
    for ids, response in zip(data["input_ids"].unbind(), data["responses"].unbind(), strict=True):
        log_p = (predict(ids).double() / temperature).log_softmax(-1)
        own = log_p[:-1].gather(1, ids[1:, None])[-len(response) :].sum()
        (gradient,) = torch.autograd.grad(own, raw[-1])
        here = slice(len(ids) - len(response) - 1, len(ids) - 1)
        x.append(inputs[-1][here].double())
        delta.append(temperature * gradient.flatten(0, 1)[here].double())  # a factor that is the same for all
    hook.remove()
    result = [torch.full((len(part),), torch.nan, dtype=torch.float64) for part in x]
    for uid in ("a", "b"):
        rows = [row for row, sequence in enumerate(SEQUENCES) if sequence[0] == uid]
        right = [row for row in rows if SEQUENCES[row][3] > 0]
        matrix = sum(delta[row].T @ x[row] for row in right)
        for row in rows:
            result[row] = ((delta[row] @ matrix) * x[row]).sum(1)
    return torch.cat(result)


def assert_interference(output: Any, expected: torch.Tensor) -> None:
    found = output["resrl_interference"].values().double()
    assert torch.equal(found.isnan(), expected.isnan())
    scale = expected.nan_to_num().abs().max()
    torch.testing.assert_close(found / scale, expected / scale, rtol=0, atol=1e-4, equal_nan=True)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("remove_padding", [False, True])
def test_architectures(architecture: str, remove_padding: bool, tmp_path: Path) -> None:
    """With and without tied embeddings, and Gemma's logits, which are capped."""
    if remove_padding and architecture not in ("Qwen3", "Gemma2"):
        pytest.skip("packing is the same for all of them")
    options = {"final_logit_softcapping": 3.0} if architecture == "Gemma2" else {"tie_word_embeddings": False}
    folder, data = save_model(architecture, tmp_path, **options), make_batch(SEQUENCES)
    engine = make_engine(folder, EXACT, {"use_remove_padding": remove_padding})
    assert_interference(infer(engine, data, micro_batch_size_per_gpu=2), dense(folder, data))


@pytest.fixture(scope="module")
def qwen3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model("Qwen3", tmp_path_factory.mktemp("model"), tie_word_embeddings=True)


@pytest.mark.parametrize("remove_padding", [False, True])
def test_temperature_is_verls(remove_padding: bool, qwen3: Path) -> None:
    data = make_batch(SEQUENCES)
    engine = make_engine(qwen3, EXACT, {"use_remove_padding": remove_padding})
    output = infer(engine, data, temperature=0.7)
    assert_interference(output, dense(qwen3, data, 0.7))


def test_dynamic_batches(qwen3: Path) -> None:
    data = make_batch(SEQUENCES)
    engine = make_engine(qwen3, EXACT, {"use_remove_padding": True})
    output = infer(engine, data, use_dynamic_bsz=True, max_token_len_per_gpu=30)
    assert_interference(output, dense(qwen3, data))


@pytest.mark.parametrize("targets", ["all-linear", ["q_proj", "lm_head"]])
def test_lora(targets: Any, qwen3: Path) -> None:
    data = make_batch(SEQUENCES)
    engine = make_engine(qwen3, EXACT, {"lora_rank": 4, "lora_alpha": 8, "target_modules": targets})
    assert_interference(infer(engine, data), dense(qwen3, data))  # a fresh adapter changes nothing


def test_weights_follow_interference(qwen3: Path) -> None:
    data = make_batch(SEQUENCES)
    score = dense(qwen3, data).split([response for _, _, response, _ in SEQUENCES])
    weights = infer(make_engine(qwen3, EXACT), data)["resrl_weights"].unbind()
    for rows in ([2, 6], [1]):  # negatives of the two active groups
        own = torch.cat([score[row] for row in rows])
        low, high = torch.quantile(own, torch.tensor([0.2, 0.8], dtype=torch.float64))
        truth = 0.1 + 0.9 * (1 - ((own - low) / (high - low)).clamp(0, 1))
        torch.testing.assert_close(torch.cat([weights[row] for row in rows]).double(), truth, rtol=0, atol=1e-3)
    weights = infer(make_engine(qwen3, EXACT | {"weighting": "nthr"}), make_batch(SEQUENCES))["resrl_weights"].unbind()
    for (right, *wrong), share in (([0, 2, 6], 1 / 3), ([3, 1], 1 / 2)):
        for row in wrong:
            truth = torch.where(score[row] > score[right].mean(), 2 * abs(0.5 - share), 1.0)
            torch.testing.assert_close(weights[row], truth.float())


def test_top_predictions_by_hand() -> None:
    logits = torch.tensor([[0.0, 2.0, 1.0, -1.0], [3.0, 0.0, 0.0, 3.5]]).bfloat16()
    ids, probs, slopes = unpacked(top_predictions(logits, torch.tensor([1.0, 2.0]), 2, None), False)
    assert slopes is None
    assert ids.tolist() == [[1, 2], [3, 0]]
    expected = torch.stack([logits[0].double(), logits[1].double() / 2]).softmax(1)
    torch.testing.assert_close(probs.double(), expected.gather(1, ids))
    ids, _, slopes = unpacked(top_predictions(logits, torch.tensor([1.0, 2.0]), 9, 4.0), True)
    assert slopes is not None
    assert slopes.tolist() == [[0.75, 0.9375, 1.0, 0.9375], [1 - 0.875**2, 0.4375, 1.0, 1.0]]


MEASURED = "resrl.measure_lld=True"
FUSED = "actor_rollout_ref.model.use_fused_kernels=True"
MEGATRON = (
    "resrl_engine=megatron",
    "model_engine=megatron",
    "actor_rollout_ref.actor.megatron.tensor_model_parallel_size=2",
)


@pytest.mark.parametrize(
    ("overrides", "advice"),
    [((FUSED,), "use_fused_kernels=False"), (MEGATRON, "megatron.tensor_model_parallel_size=1")],
)
@pytest.mark.parametrize("method", ["resrl_interference", "nthr"])
def test_no_logits_no_start(method: str, overrides: tuple[str, ...], advice: str) -> None:
    with pytest.raises(StartError, match=f"needs.* logits.*set actor_rollout_ref.*{advice}") as error:
        check_model(composed(f"+method={method}", *overrides))
    assert "\n" not in str(error.value)
    quiet, measured = composed("+method=resrl", *overrides), composed("+method=resrl", MEASURED, *overrides)
    check_model(quiet)
    assert not any("whole logits" in remark for remark in remarks(quiet))
    assert any("whole logits" in remark for remark in remarks(measured))
    assert not any("whole logits" in remark for remark in remarks(composed("+method=resrl", MEASURED)))
    check_model(composed(f"+method={method}"))


def test_a_model_without_a_head_is_named() -> None:
    for model in (torch.nn.Linear(2, 2), SimpleNamespace(get_output_embeddings=lambda: None)):
        with pytest.raises(ValueError, match="names no output head"):
            output_head(model)  # type: ignore[arg-type]
