# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""verl's Megatron engine around real Megatron-Core layers on a CPU.

Stood in for: what Megatron asks of ``torch.cuda`` (a CPU answers), and the building of the model, which verl does by
Megatron-Bridge out of Transformer Engine's layers, which need CUDA (here: the same model of Megatron's own layers).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from megatron.core import parallel_state
from megatron.core.models.gpt import GPTModel
from megatron.core.models.gpt.gpt_layer_specs import get_gpt_layer_local_spec
from megatron.core.transformer import TransformerConfig
from torch.overrides import TorchFunctionMode
from verl.workers.config import HFModelConfig

from tests.integration.engines import VOCABULARY
from verl_resrl.integration.engine_settings import MODEL_TYPE
from verl_resrl.integration.megatron import ResRLMegatronEngine, ResRLMegatronEngineConfig
from verl_resrl.integration.tap import HiddenStateTap

LAYERS = 4


class _CPUForCUDA(TorchFunctionMode):
    """Makes tensors on the CPU where Megatron says ``device="cuda"``."""

    def __torch_function__(self, function: Callable, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if str(kwargs.get("device")) == "cuda":
            kwargs["device"] = "cpu"
        return function(*args, **kwargs)


@contextmanager
def cpu_for_cuda() -> Iterator[None]:
    """Answer for ``torch.cuda`` with the CPU."""

    def state(*_: Any, **__: Any) -> torch.Tensor:
        return torch.get_rng_state()

    def restore(value: torch.Tensor, *_: Any, **__: Any) -> None:
        torch.set_rng_state(value)

    with (
        mock.patch.multiple(
            torch.cuda,
            current_device=lambda: "cpu",
            synchronize=lambda: None,
            get_rng_state=state,
            manual_seed=torch.manual_seed,
        ),
        mock.patch.multiple(torch.cuda.random, get_rng_state=state, set_rng_state=restore),
        _CPUForCUDA(),
    ):
        yield


class CausalGPTModel(GPTModel):
    """Leaves out the padding mask, which Megatron's own attention wants in another shape than Transformer Engine's.

    Padding is on the right: with a causal mask alone, no token of a sequence sees it.
    """

    def forward(self, *args: Any, attention_mask: Any = None, **kwargs: Any) -> Any:
        return super().forward(*args, attention_mask=None, **kwargs)


def make_model(num_layers: int = LAYERS, **options: Any) -> CausalGPTModel:
    """Build this process's part of a small model; the same seed gives the same whole model."""
    config = TransformerConfig(
        num_layers=num_layers,
        hidden_size=32,
        num_attention_heads=4,
        num_query_groups=2,
        ffn_hidden_size=48,
        normalization="RMSNorm",
        gated_linear_unit=True,
        add_bias_linear=False,
        attention_dropout=0.0,
        hidden_dropout=0.0,
        init_method_std=0.3,
        use_cpu_initialization=True,
        gradient_accumulation_fusion=False,
        bias_activation_fusion=False,
        masked_softmax_fusion=False,
        persist_layer_norm=False,
        variable_seq_lengths=True,
        moe_token_dispatcher_type="alltoall",
        pipeline_dtype=torch.float32,
        tensor_model_parallel_size=parallel_state.get_tensor_model_parallel_world_size(),
        pipeline_model_parallel_size=parallel_state.get_pipeline_model_parallel_world_size(),
    )
    torch.manual_seed(0)
    ends = {
        "pre_process": parallel_state.is_pipeline_first_stage(),
        "post_process": parallel_state.is_pipeline_last_stage(),
    }
    model = CausalGPTModel(
        config,
        get_gpt_layer_local_spec(normalization="RMSNorm"),
        vocab_size=VOCABULARY,
        max_sequence_length=64,
        position_embedding_type="rope",
        **(ends | options),
    )
    return model.eval()


def make_engine(folder: Path, resrl: dict[str, Any], tensor: int = 1, pipeline: int = 1) -> ResRLMegatronEngine:
    """Build verl's engine with ResRL around this process's part of the model."""
    config = ResRLMegatronEngineConfig(
        resrl=resrl,
        tensor_model_parallel_size=tensor,
        pipeline_model_parallel_size=pipeline,
        use_remove_padding=False,  # Megatron's own attention knows no packed sequences
    )
    model_config = HFModelConfig(path=str(folder), use_remove_padding=False)
    model_config.model_type = MODEL_TYPE
    engine = ResRLMegatronEngine(model_config, config, None, None)
    engine.module = [make_model()]
    engine.tf_config = engine.module[0].config
    layer = engine._tapped_layer()
    engine._tap = None if layer is None else HiddenStateTap(layer)
    engine._head_tap = HiddenStateTap(engine._output_head()) if layer is not None and engine._wants_head() else None
    return engine
