# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Parquet files in verl's format -> problems, and the checks of what a user names before minutes are spent on it."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from verl_resrl.evaluation.settings import HUB_NAME, EvaluationError, Settings

logger = logging.getLogger(__name__)

WEIGHTS = ("*.safetensors", "*.bin")
MEDIA = ("images", "videos", "audios")  # columns from which verl takes what is not text
TEXT_ALONE = "resrl eval is for problems of text alone"


@dataclass(frozen=True)
class Problem:
    """One problem.

    Attributes:
        prompt: its text, with the chat template.
        prompt_ids: its tokens.
        row: its row of the parquet file.
    """

    prompt: str
    prompt_ids: list[int]
    row: dict[str, Any]


def problems_of(settings: Settings, tokenizer: Any, context: int | None) -> list[Problem]:
    """The problems of an evaluation: those whose prompt leaves the model room for a response.

    Args:
        settings: of the evaluation.
        tokenizer: of its model.
        context: of its model in tokens; None if it is not known.

    Raises:
        EvaluationError: as ``read_problems``.
    """
    longest = settings.max_prompt_tokens if context is None else min(settings.max_prompt_tokens, context - 1)
    files = [Path(file) for file in settings.data]
    return read_problems(files, tokenizer, longest, settings.limit, settings.chat_template_kwargs)


def read_problems(
    files: Sequence[Path],
    tokenizer: Any,
    max_prompt_tokens: int,
    limit: int | None = None,
    chat_template_kwargs: Mapping[str, Any] | None = None,
) -> list[Problem]:
    """Read the problems whose prompt is short enough; verl leaves longer ones out too. A warning counts those.

    Args:
        files: parquet files, as ``check_parquet`` accepts them.
        tokenizer: of the model.
        max_prompt_tokens: longest prompt.
        limit: at most so many problems, the first ones.
        chat_template_kwargs: more arguments for the chat template.

    Raises:
        EvaluationError: every prompt is longer, a row lacks something, or the tokenizer cannot apply its chat template.
    """
    found: list[Problem] = []
    too_long = 0
    for file in files:
        for number, row in enumerate(pq.read_table(file).to_pylist()):
            if len(found) == limit:
                break
            _check_row(row, f"row {number} of {file}")
            try:
                text = tokenizer.apply_chat_template(
                    row["prompt"], add_generation_prompt=True, tokenize=False, **(chat_template_kwargs or {})
                )
            except Exception as error:  # whatever a template, which is a program, may raise
                raise EvaluationError(
                    f"row {number} of {file}: the tokenizer's chat template fails ({_first_line(error)})"
                ) from None
            ids = tokenizer(text, add_special_tokens=False)["input_ids"]
            if not ids:
                raise EvaluationError(f"row {number} of {file}: no tokens come of the prompt {text[:80]!r}")
            if len(ids) <= max_prompt_tokens:
                found.append(Problem(text, ids, row))
            else:
                too_long += 1
    if not found:
        raise EvaluationError(
            f"every prompt is longer than {max_prompt_tokens} tokens (--max-prompt-tokens or the model's context, "
            "whichever is less): raise it, or take a model with a longer context"
        )
    if too_long:
        logger.warning("%d problems are left out: their prompts have over %d tokens", too_long, max_prompt_tokens)
    return found


def check_parquet(file: Path) -> None:
    """Check that a file is one that verl can train on.

    Raises:
        EvaluationError: missing, unreadable or empty file, or a column that verl needs is missing or of another kind.
    """
    if not file.is_file():
        raise EvaluationError(f"{file} is a folder: name parquet files" if file.is_dir() else f"{file} does not exist")
    try:
        parquet = pq.ParquetFile(file)
        schema, rows = parquet.schema_arrow, parquet.metadata.num_rows
    except (OSError, pa.ArrowException) as error:
        raise EvaluationError(f"{file} is not a readable parquet file ({_first_line(error)})") from None
    if rows == 0:
        raise EvaluationError(f"{file} has no rows")
    for column in ("data_source", "prompt", "reward_model"):
        if column not in schema.names:
            raise EvaluationError(f"{file} has no column {column!r}; its columns are: {', '.join(schema.names)}")
    prompt, reward = schema.field("prompt").type, schema.field("reward_model").type
    messages = pa.types.is_list(prompt) or pa.types.is_large_list(prompt)
    if not messages or not _has_fields(prompt.value_type, "role", "content"):
        raise EvaluationError(f"column 'prompt' of {file} must be a list of {{role, content}}, it is {prompt}")
    if not pa.types.is_string(prompt.value_type.field("content").type) and not pa.types.is_large_string(
        prompt.value_type.field("content").type
    ):
        raise EvaluationError(f"column 'prompt' of {file}: content must be text, it is {prompt}; {TEXT_ALONE}")
    for column in MEDIA:
        if column in schema.names and any(parquet.read([column]).column(column).to_pylist()):
            raise EvaluationError(f"{file} has {column}, which the responses would be made without; {TEXT_ALONE}")
    if not _has_fields(reward, "ground_truth"):
        raise EvaluationError(f"column 'reward_model' of {file} must have a field 'ground_truth', it is {reward}")


def _check_row(row: Mapping[str, Any], where: str) -> None:
    """What a column's type cannot say, because a value may be missing."""
    if not isinstance(row["data_source"], str):
        raise EvaluationError(f"{where}: data_source must be text, it is {row['data_source']!r}")
    if row["reward_model"] is None:
        raise EvaluationError(f"{where}: reward_model is missing, so there is nothing to judge by")
    if not isinstance(row.get("extra_info") or {}, Mapping):
        raise EvaluationError(f"{where}: extra_info must have named fields, it is {row['extra_info']!r}")


def check_model(model: str) -> None:
    """Check that a model's folder is one; a name on the hub is left to transformers.

    Raises:
        EvaluationError: neither a folder with configuration and weights nor a name like ``owner/model``.
    """
    folder = Path(model)
    if folder.exists():
        if not (folder / "config.json").is_file():
            raise EvaluationError(f"{model} has no config.json; it must be a Hugging Face model's folder")
        if not any(path for pattern in WEIGHTS for path in folder.glob(pattern)):
            raise EvaluationError(
                f"{model} has no weights (*.safetensors): train with "
                "actor_rollout_ref.actor.checkpoint.save_contents=[model,optimizer,extra,hf_model], "
                "or merge the shards with python -m verl.model_merger"
            )
    elif not HUB_NAME.fullmatch(model):
        raise EvaluationError(f"{model} does not exist")


def _has_fields(kind: pa.DataType, *names: str) -> bool:
    return pa.types.is_struct(kind) and all(kind.get_field_index(name) >= 0 for name in names)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
