# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Drive an agent loop with a scripted model, in place of the client of the rollout's servers and of nothing else."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hydra import compose, initialize_config_module
from omegaconf import DictConfig
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from verl.experimental.agent_loop.agent_loop import AgentLoopBase, AgentLoopOutput, DictConfigWrap
from verl.utils.dataset.rl_dataset import RLHFDataset
from verl.workers.rollout.replica import TokenOutput

END = "<|im_end|>"
CHAT_ML = (
    "{% if tools %}<|im_start|>tools\n{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}<|im_end|>\n{% endif %}"
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """One token per byte and the marks of Qwen's chat format: any text survives it."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {symbol: index for index, symbol in enumerate(["<|endoftext|>", END, "<|im_start|>", *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<|endoftext|>",
        eos_token=END,
        additional_special_tokens=["<|im_start|>"],
    )
    fast.chat_template = CHAT_ML
    return fast


def make_config(*overrides: str) -> DictConfig:
    """Compose a configuration as ``python -m verl.trainer.main_ppo`` does."""
    with initialize_config_module("verl.trainer.config", version_base=None):
        return compose("ppo_trainer", overrides=list(overrides))


class ScriptedServer:
    """Says what it is told to, whatever it is asked.

    Args:
        tokenizer: of the loop.
        say: what to say, from the text so far.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, say: Callable[[str], str]) -> None:
        self._tokenizer, self._say = tokenizer, say
        self.asked: list[str] = []
        self.limits: list[int] = []

    async def generate(
        self, request_id: str, *, prompt_ids: list[int], sampling_params: dict[str, Any], **_: Any
    ) -> TokenOutput:
        self.asked.append(self._tokenizer.decode(prompt_ids))
        self.limits.append(sampling_params["max_tokens"])
        ids = self._tokenizer.encode(self._say(self.asked[-1]) + END, add_special_tokens=False)
        ids = ids[: sampling_params["max_tokens"]]
        step = len(self.asked)  # as if the weights changed before every turn
        versions = {"global_steps": step, "min_global_steps": step, "max_global_steps": step}
        return TokenOutput(token_ids=ids, log_probs=[-0.5] * len(ids), extra_fields=versions)


def in_turn(texts: Sequence[str]) -> Callable[[str], str]:
    """Say one text after the other."""
    script = iter(texts)
    return lambda _: next(script)


def play(
    loop_class: type[AgentLoopBase],
    config: DictConfig,
    tokenizer: PreTrainedTokenizerFast,
    row: Mapping[str, Any],
    say: Callable[[str], str],
) -> tuple[AgentLoopOutput, ScriptedServer]:
    """Run a loop on a row of the data as verl's worker does."""
    server = ScriptedServer(tokenizer, say)

    async def run() -> AgentLoopOutput:
        loop = loop_class(
            trainer_config=DictConfigWrap(config),
            server_manager=server,
            tokenizer=tokenizer,
            processor=None,
            dataset_cls=RLHFDataset,
            data_config=DictConfigWrap(config.data),
            hf_model_type="qwen3",
            tools=None,
        )
        return await loop.run({"temperature": 1.0}, raw_prompt=row["prompt"], **row)

    return asyncio.run(run()), server


def spoken(output: AgentLoopOutput, tokenizer: PreTrainedTokenizerFast) -> tuple[list[str], list[str]]:
    """Split a response by its mask: what the model said, and what was said to it."""
    parts: dict[int, list[list[int]]] = {0: [], 1: []}
    previous = None
    for token, mask in zip(output.response_ids, output.response_mask, strict=True):
        if mask != previous:
            parts[mask].append([])
        parts[mask][-1].append(token)
        previous = mask
    return [tokenizer.decode(ids) for ids in parts[1]], [tokenizer.decode(ids) for ids in parts[0]]
