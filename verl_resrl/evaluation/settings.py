# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""What an evaluation is: settings, and the check that a folder holds samples of the same ones."""

import hashlib
import importlib.util
import json
import math
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import MISSING, asdict, dataclass, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

SETTINGS_FILE = "settings.json"
HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w.-]+")  # of a model: owner/model
BACKENDS = ("auto", "vllm", "hf")
DTYPES = ("auto", "float32", "bfloat16")
TASKS = Path(__file__).resolve().parents[1] / "tasks"  # our rewards
JUDGING = ("verl", "math-verify", "latex2sympy2-extended", "sympy")  # what rewards may import, ours or verl's
PACKAGE = "pkg://"  # before a module's name, where verl's configuration names a Python file
# settings that say what is done with samples, not which samples there are: they may change between two calls
OF_THE_SUMMARY = ("k", "averaged", "token_weights", "resrl", "codeforces_users")


class EvaluationError(Exception):
    """Something the user can put right; the message is one line."""


def named_file(path: str) -> str:
    """What verl means by a Python file: a path, perhaps after ``file://``, or an installed module after ``pkg://``.

    Args:
        path: as in ``reward.custom_reward_function.path``.

    Returns:
        A path, which need not exist.

    Raises:
        EvaluationError: there is no such module.
    """
    if not path.startswith(PACKAGE):
        return path.removeprefix("file://")
    name = path.removeprefix(PACKAGE).replace("/", ".")
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError):  # a package above it is missing; not a name
        found = None
    if found is None or found.origin is None or not found.origin.endswith(".py"):
        raise EvaluationError(f"{path} names no Python module that is installed here")
    return found.origin


@dataclass(frozen=True)
class Settings:
    """Settings of the evaluation of one model.

    Attributes:
        model: Hugging Face model, a folder or a name on the hub.
        data: parquet files in verl's format.
        n: responses to each problem.
        k: for which Pass@k is reported, ascending, each at most n.
        averaged: also report Avg over the first so many responses, at most n; None: over all n only.
        temperature: of the sampling; 0 takes the most likely token.
        top_p: sample among the most likely tokens that together have this probability.
        max_tokens: longest response.
        max_prompt_tokens: problems with a longer prompt are left out, as verl leaves them out of training.
        seed: of all samples.
        limit: evaluate the first so many problems; None for all.
        reward_file: Python file with the reward function; None for verl's choice by data source.
        reward_name: name of the function in the file.
        reward_kwargs: its further arguments, as verl's ``reward.custom_reward_function.reward_kwargs``.
        threshold: a response is right when its score is above.
        backend: "vllm" or "hf".
        dtype: of the model's weights and products: "float32" or "bfloat16".
        tensor_parallel_size: GPUs that share the model, with vLLM.
        chat_template_kwargs: more arguments for the chat template, as verl's ``data.apply_chat_template_kwargs``.
        token_weights: number of problems to show token by token.
        resrl: fields of ``ResRLConfig`` by which the training weighs tokens; None if it does not.
        codeforces_users: file of everybody's ratings, for a percentile; see ``evaluation.rating``.

    Raises:
        EvaluationError: a value is out of range or two do not fit together.
    """

    model: str
    data: tuple[str, ...]
    n: int = 128
    k: tuple[int, ...] = ()
    averaged: int | None = None
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 1024
    max_prompt_tokens: int = 1024
    seed: int = 0
    limit: int | None = None
    reward_file: str | None = None
    reward_name: str = "compute_score"
    reward_kwargs: Mapping[str, Any] | None = None
    threshold: float = 0.0
    backend: str = "hf"
    dtype: str = "float32"
    tensor_parallel_size: int = 1
    chat_template_kwargs: Mapping[str, Any] | None = None
    token_weights: int = 0
    resrl: Mapping[str, Any] | None = None
    codeforces_users: str | None = None

    def __post_init__(self) -> None:
        for name, low in (("n", 1), ("max_tokens", 1), ("max_prompt_tokens", 1), ("tensor_parallel_size", 1)):
            _require(name, getattr(self, name), low)
        _require("seed", self.seed, 0)
        _require("token_weights", self.token_weights, 0)
        if self.limit is not None:
            _require("limit", self.limit, 1)
        if not 0 <= self.temperature < math.inf:
            raise EvaluationError(f"--temperature {self.temperature} must be a number, 0 or more")
        if not 0 < self.top_p <= 1:
            raise EvaluationError(f"--top-p {self.top_p} must be above 0 and at most 1")
        if not math.isfinite(self.threshold):
            raise EvaluationError(f"--threshold {self.threshold} must be a number")
        if not self.data:
            raise EvaluationError("--data: name at least one parquet file in verl's format")
        if not self.k or list(self.k) != sorted(set(self.k)) or self.k[0] < 1:
            raise EvaluationError(f"--k {','.join(map(str, self.k))} must be increasing numbers from 1 on")
        if self.k[-1] > self.n:
            raise EvaluationError(f"--k {self.k[-1]} is more than the responses to a problem, --n {self.n}")
        if self.averaged is not None and not 1 <= self.averaged <= self.n:
            raise EvaluationError(f"--averaged {self.averaged} must be in [1, {self.n}], the responses to a problem")
        if self.token_weights and self.n < 2:
            raise EvaluationError("--token-weights compares right and wrong responses: --n must be 2 or more")


def _require(name: str, value: int, low: int) -> None:
    if value < low:
        raise EvaluationError(f"--{name.replace('_', '-')} {value} must be an integer, {low} or more")


def as_json(settings: Settings) -> dict[str, Any]:
    """Settings as they stand in ``settings.json``, with fingerprints of the files they name."""
    values = json.loads(json.dumps(asdict(settings)))
    return values | {"fingerprints": _fingerprints(settings)}


def of_the_samples(settings: Settings) -> dict[str, Any]:
    """Settings that say which samples there are: where these are equal, so are the samples."""
    return {name: value for name, value in as_json(settings).items() if name not in OF_THE_SUMMARY}


def claim_folder(folder: Path, settings: Settings) -> None:
    """Write ``settings.json``, or check that the one which is there allows these samples.

    Args:
        folder: of the evaluation; created if missing.
        settings: of this call.

    Raises:
        EvaluationError: samples there were drawn with other settings, or the folder cannot be written.
    """
    file, new = folder / SETTINGS_FILE, as_json(settings)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        old = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    except OSError as error:
        raise EvaluationError(f"--out: cannot write to {folder} ({error.strerror})") from None
    except ValueError:  # no JSON, or no text
        old = None
    if not isinstance(old, dict):
        raise EvaluationError(f"{file} is not what resrl eval wrote; delete {folder} to start over")
    old = with_defaults(old)
    differences = [
        f"{name} is {json.dumps(old.get(name))} there and {json.dumps(new[name])} now"
        for name in of_the_samples(settings)
        if old and old.get(name) != new[name]
    ]
    if differences:
        raise EvaluationError(
            f"{folder} holds samples of other settings ({'; '.join(differences)}): "
            "repeat those settings, choose another --out, or delete the folder"
        )
    write_json(file, new)


def with_defaults(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Add settings that are younger than a ``settings.json``: they had their defaults; nothing to an empty one."""
    defaults = {field.name: field.default for field in fields(Settings) if field.default is not MISSING}
    return {**defaults, **settings} if settings else {}


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file that appears whole or not at all.

    Args:
        path: the file.
        value: what to write.
    """
    write_whole(path, json.dumps(value, indent=1) + "\n")


def write_whole(path: Path, text: str) -> None:
    """Write a text file that appears whole or not at all.

    Args:
        path: the file.
        text: what to write.
    """
    unfinished = path.with_name(path.name + ".tmp")
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, path)


def _fingerprints(settings: Settings) -> dict[str, Any]:
    """What the named files hold: data and reward by content, a model's folder by names, sizes and times."""
    model = Path(settings.model)
    stats = [(file.name, file.stat()) for file in sorted(model.iterdir())] if model.is_dir() else []
    return {
        "model": _digest(json.dumps([(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]).encode()),
        "data": [_digest(Path(file).read_bytes()) for file in settings.data],
        "reward_file": _digest(Path(settings.reward_file).read_bytes()) if settings.reward_file else None,
        "verifier": _verifier(settings.reward_file),
    }


def _verifier(reward_file: str | None) -> str:
    """What verdicts depend on beside the reward's file: the versions of what it may import, and our other sources."""
    found = {}
    for name in JUDGING:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    if reward_file is not None and Path(reward_file).is_relative_to(TASKS):
        found["verl_resrl.tasks"] = _digest(b"".join(file.read_bytes() for file in sorted(TASKS.glob("*.py"))))
    return ", ".join(f"{name} {value}" for name, value in found.items())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
