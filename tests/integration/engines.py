# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Small random models, batches as verl's trainer hands them to a worker, and verl's engine around them."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tensordict import TensorDict
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from verl.trainer.config import CheckpointConfig
from verl.utils import tensordict_utils as tu
from verl.workers.config import FSDPEngineConfig, FSDPOptimizerConfig, HFModelConfig
from verl.workers.engine import EngineRegistry

from verl_resrl.integration.batch import Batch, per_response_token
from verl_resrl.integration.batch_weights import Weighed, weight_fields
from verl_resrl.integration.engine_settings import MODEL_TYPE
from verl_resrl.integration.fsdp import ResRLFSDPEngineConfig

VOCABULARY = 50
COMMON = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": 1,
}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "Llama": {},
    "Qwen2": {},
    "Qwen3": {"head_dim": 8},
    "Mistral": {"head_dim": 8},
    "Gemma2": {"head_dim": 8, "query_pre_attn_scalar": 8},
    "Phi3": {},
    "Qwen3Moe": {"head_dim": 8, "num_experts": 3, "num_experts_per_tok": 2, "moe_intermediate_size": 16},
}


def save_model(architecture: str, folder: Path, **options: Any) -> Path:
    """Write a random model and a tokenizer to a folder."""
    torch.manual_seed(0)
    config = getattr(transformers, architecture + "Config")(**(COMMON | ARCHITECTURES[architecture] | options))
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():  # random enough that every position has a state of its own
            parameter.add_(0.2 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    words = ["<pad>", "<|im_end|>", *(f"t{i}" for i in range(2, VOCABULARY))]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="t2"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<|im_end|>")
    fast.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    fast.save_pretrained(folder)
    return folder


def start_process_group(rank: int = 0, world_size: int = 1, init_method: str | None = None) -> None:
    """Start gloo once per process."""
    if not torch.distributed.is_initialized():
        os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
        store = None if init_method else torch.distributed.HashStore()
        torch.distributed.init_process_group(
            "cpu:gloo", rank=rank, world_size=world_size, store=store, init_method=init_method
        )


def make_engine(
    folder: Path,
    resrl: dict[str, Any] | None = None,
    model_options: dict[str, Any] | None = None,
    **engine_options: Any,
) -> Any:
    """Build verl's FSDP2 engine on the CPU: ours when ``resrl`` is given, else verl's."""
    start_process_group()
    model_config = HFModelConfig(
        path=str(folder),
        **({"use_remove_padding": False, "override_config": {"attn_implementation": "sdpa"}} | (model_options or {})),
    )
    options = {
        "strategy": "fsdp2",
        "model_dtype": "fp32",
        "use_torch_compile": False,
        "mixed_precision": {"param_dtype": "fp32", "reduce_dtype": "fp32", "buffer_dtype": "fp32"},
    } | engine_options
    engine_config: FSDPEngineConfig
    if resrl is None:
        model_type, engine_config = "language_model", FSDPEngineConfig(**options)
    else:
        model_type, engine_config = MODEL_TYPE, ResRLFSDPEngineConfig(**options, resrl=resrl)
    engine = EngineRegistry.new(
        model_type=model_type,
        backend="fsdp2",
        model_config=model_config,
        engine_config=engine_config,
        optimizer_config=FSDPOptimizerConfig(lr=1e-3, total_training_steps=10),
        checkpoint_config=CheckpointConfig(),
    )
    engine.initialize()
    return engine


def make_batch(lengths: list[tuple[str, int, int, float]], seed: int = 0) -> TensorDict:
    """Make a batch from (uid, prompt length, response length, reward) of each sequence."""
    generator = torch.Generator().manual_seed(seed)
    rows: dict[str, list[torch.Tensor]] = {name: [] for name in ("prompts", "responses", "rm_scores", "position_ids")}
    for _, prompt, response, reward in lengths:
        rows["prompts"].append(torch.randint(2, VOCABULARY, (prompt,), generator=generator))
        rows["responses"].append(torch.randint(2, VOCABULARY, (response,), generator=generator))
        scores = torch.zeros(response)
        scores[-1] = reward
        rows["rm_scores"].append(scores)
        rows["position_ids"].append(torch.arange(prompt + response))
    rows["input_ids"] = [torch.cat(pair) for pair in zip(rows["prompts"], rows["responses"], strict=True)]
    rows["response_mask"] = [torch.ones_like(row) for row in rows["responses"]]
    rows["loss_mask"] = rows["response_mask"]
    tensors = {name: torch.nested.as_nested_tensor(values, layout=torch.jagged) for name, values in rows.items()}
    return tu.get_tensordict(
        {**tensors, "uid": [uid for uid, *_ in lengths]},
        non_tensor_dict={"temperature": 1.0, "calculate_entropy": True},
    )


def last_layer_inputs(
    folder: Path, data: TensorDict, index: int = -2, hidden_state_at: str = "predicting"
) -> list[torch.Tensor]:
    """Hugging Face's own ``hidden_states[index]`` of each response, one sequence at a time."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa").eval()
    states = []
    for ids, response in zip(data["input_ids"].unbind(), data["responses"].unbind(), strict=True):
        with torch.no_grad():
            hidden = model.model(input_ids=ids[None], output_hidden_states=True).hidden_states[index][0]
        first = len(ids) - len(response) - {"predicting": 1, "consuming": 0}[hidden_state_at]
        states.append(hidden[first : first + len(response)])
    return states


def show_residuals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the engine return residual and alignment of each token too: users pay for what the update needs alone."""

    def fields(batch: Batch, weighed: Weighed) -> dict[str, torch.Tensor]:
        more = {"resrl_residual": weighed.out.residual, "resrl_alignment": weighed.out.alignment}
        shown = {name: per_response_token(values, batch, fill=torch.nan) for name, values in more.items()}
        return weight_fields(batch, weighed) | shown

    monkeypatch.setattr("verl_resrl.integration.engine.weight_fields", fields)
