# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""A dry run of the study for a GPU: its own commands, with vLLM, from the supervised start to the report, on a CPU.

A small random model stands in for the one of the hub, and ``+device=cpu`` for the GPU.
"""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import common
import pytest
import starts
import study
import variants
from knobs import FROM_HUB
from rich.console import Console
from study_settings import StudySettings
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from verl_resrl.tasks.word_problems_data import generate_problems

pytestmark = [pytest.mark.vllm, pytest.mark.long, pytest.mark.e2e]

TEMPLATE = (  # of Qwen's form, which verl expects of such a model
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def save_small_model(folder: Path) -> None:
    """Random, with a size of heads that vLLM has for CPUs and a tokenizer that can write any text."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    special = ["<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet)
    inner.train_from_iterator([problem.story for problem in generate_problems(50, 0, 0)[0]], trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|im_end|>", pad_token="<|im_end|>")
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    Qwen3ForCausalLM(config).save_pretrained(folder)


@pytest.mark.parametrize("start", FROM_HUB)
def test_the_study_for_a_gpu(start: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_small_model(tmp_path / "hub")
    small = replace(starts._of_hub(1, str(tmp_path / "hub")), sizes=(16, 8, 4))
    monkeypatch.setitem(starts.STARTS, start, small)
    monkeypatch.setattr("huggingface_hub.snapshot_download", str)
    monkeypatch.setattr(study, "REPORTS", [variants.Report("dry", "pretrained", variants.GRPO, (variants.RESRL_FULL,))])
    of_a_gpu, evaluation = study.Study._verl_command, common.evaluation

    def on_a_cpu(self: Any, *arguments: Any) -> list[str]:
        command = of_a_gpu(self, *arguments)
        assert "+device=cpu" not in command
        # which both devices add where flash-attn is missing
        return [*(text for text in command if "attn_implementation" not in text), "+device=cpu", "rollout=vllm"]

    def by_vllm(*arguments: Any) -> list[str]:
        options = evaluation(*arguments)
        options[options.index("--backend") + 1] = "vllm"
        return options

    monkeypatch.setattr(study.Study, "_verl_command", on_a_cpu)
    monkeypatch.setattr(common, "evaluation", by_vllm)
    size = "gpu" if start == "qwen3-0.6b" else "gpu-1.7b"
    (tmp_path / "out").mkdir()
    settings = StudySettings.from_environment({"SIZE": size, "STEPS": "1", "OUT": str(tmp_path / "out")})
    knobs = {**settings.size.knobs, "PROMPTS": "2", "MINI_BATCH": "2", "MAX_RESPONSE": "16", "EVAL_PROBLEMS": "2"}
    knobs |= {"ROLLOUTS": "2"}
    assert knobs["START"] == start
    # a random model solves none of the problems: all are kept
    settings = replace(settings, size=replace(settings.size, knobs=knobs, candidates=0))
    console = Console(file=io.StringIO())
    # and has no mistakes to find in groups with right responses
    (failure,) = study.Study(settings, gpu=True, console=console).run()
    assert failure == "localisation: no problem has both right and wrong responses"
    assert (tmp_path / "out" / "report-dry" / "report.html").exists()
