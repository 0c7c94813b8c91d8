# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The knobs of the quickstart: upper-case environment variables. Needs nothing but Python, so that --help is quick."""

import hashlib
import json
import math
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
METHODS = ("resrl", "grpo", "w_reinforce", "nsr", "psr")
COUNTDOWN = ROOT / "verl_resrl" / "tasks" / "countdown.py"
WORD_PROBLEMS = ROOT / "verl_resrl" / "tasks" / "word_problems.py"
SMALL, SMOLLM2, OWN = "tiny", "smollm2-135m", "MODEL"
FROM_HUB = {"qwen3-0.6b": "Qwen/Qwen3-0.6B", "qwen3-1.7b": "Qwen/Qwen3-1.7B"}
REWARDS = {SMALL: COUNTDOWN, SMOLLM2: WORD_PROBLEMS, **dict.fromkeys(FROM_HUB, WORD_PROBLEMS)}


class QuickstartError(Exception):
    """Something the user can put right; the message is one line."""


@dataclass(frozen=True)
class Knob:
    """One environment variable.

    Attributes:
        name: of the variable.
        default: text that stands for it when it is not set; empty means not set.
        meaning: one line for the help.
    """

    name: str
    default: str
    meaning: str


# for a GPU: a training takes some minutes there
_OF_HUB = {
    "STEPS": "30",
    "PROMPTS": "32",
    "MINI_BATCH": "32",
    "LR": "2e-6",
    "RANK": "64",
    "SAVE_EVERY": "10",
    "EVAL_PROBLEMS": "64",
    "EVAL_SAMPLES": "16",
    "MAX_PROMPT": "256",
    "MAX_RESPONSE": "256",
}
# what suits a model: one made from scratch forgets little and learns fast, a pretrained one is slow on two cores, and
# somebody's own may be of any size
DEFAULTS = {
    SMALL: {
        "STEPS": "50",
        "PROMPTS": "16",
        "MINI_BATCH": "8",
        "LR": "1e-4",
        "RANK": "16",
        "SAVE_EVERY": "10",
        "EVAL_PROBLEMS": "100",
        "EVAL_SAMPLES": "64",
        "MAX_PROMPT": "16",
        "MAX_RESPONSE": "32",
    },
    SMOLLM2: {
        "STEPS": "12",
        "PROMPTS": "4",
        "MINI_BATCH": "4",
        "LR": "1e-5",
        "RANK": "64",
        "SAVE_EVERY": "6",
        "EVAL_PROBLEMS": "32",
        "EVAL_SAMPLES": "16",
        "MAX_PROMPT": "96",
        "MAX_RESPONSE": "96",
    },
    **dict.fromkeys(FROM_HUB, _OF_HUB),
    OWN: {
        "STEPS": "50",
        "PROMPTS": "16",
        "MINI_BATCH": "8",
        "LR": "1e-6",
        "RANK": "64",
        "SAVE_EVERY": "10",
        "EVAL_PROBLEMS": "32",
        "EVAL_SAMPLES": "16",
        "MAX_PROMPT": "512",
        "MAX_RESPONSE": "1024",
    },
}

# for verl on a CPU: to keep the activations of a small model, in small portions, is faster than to compute them twice
ON_CPU = {
    SMOLLM2: (
        "actor_rollout_ref.model.enable_gradient_checkpointing=False",
        "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=512",
    )
}

KNOBS = (
    Knob(
        "START",
        SMALL,
        f"{SMALL}: a model of 0.8 million parameters that is made from scratch, on puzzles; {SMOLLM2}: a pretrained "
        f"one, on word problems; {' and '.join(FROM_HUB)}: likewise, from the hub, for a GPU",
    ),
    Knob("METHODS", "resrl grpo", f"what to train, in order; any of: {' '.join(METHODS)}"),
    Knob("STEPS", "", "training steps of each method; more steps continue an earlier run"),
    Knob("SEED", "0", "of the data, the warm start, the sampling and the evaluation"),
    Knob("OUT", "outputs/quickstart", "folder of everything that is written, relative to the current one"),
    Knob("PROMPTS", "", "prompts a step"),
    Knob("ROLLOUTS", "8", "responses to each prompt"),
    Knob("MINI_BATCH", "", "prompts of one optimizer update"),
    Knob("LR", "", "learning rate"),
    Knob("RANK", "", "resrl.rank, directions of ResRL's positive subspace"),
    Knob("SAVE_EVERY", "", "steps between checkpoints"),
    Knob("EVAL_PROBLEMS", "", "held-out problems to evaluate on"),
    Knob("EVAL_SAMPLES", "", "responses to each of them, at least 16"),
    Knob("MAX_PROMPT", "", "longest prompt in tokens"),
    Knob("MAX_RESPONSE", "", "longest response in tokens"),
    Knob("TRAIN_FILES", "", "parquet files in verl's format in place of START's problems; needs VAL_FILES and MODEL"),
    Knob("VAL_FILES", "", "the same for the held-out problems"),
    Knob("MODEL", "", "Hugging Face chat model, folder or name on the hub, in place of START"),
    Knob("REWARD_FILE", "", "Python file with verl's compute_score(); by default verl chooses by data_source"),
    Knob("VERL_ARGS", "", "more settings for verl, such as 'actor_rollout_ref.rollout.gpu_memory_utilization=0.5'"),
)
INSTALL_KNOBS = (
    Knob("DEVICE", "", "cpu: run on the CPU even where there is an NVIDIA GPU"),
    Knob("VENV", ".venv", "virtual environment to create or reuse; an active one comes first"),
    Knob("PYTHON_VERSION", "", "3.10, 3.11 or 3.12: the Python that a new environment is made of"),
    Knob("TORCH_VERSION", "2.13.0", "PyTorch to install on a machine without an NVIDIA GPU"),
    Knob("TORCH_INDEX_URL", "", "package index that has PyTorch's CPU builds"),
    Knob("FLASH_ATTN_WHEEL", "", "file or address of a prebuilt flash-attn for a machine with a GPU"),
)


@dataclass(frozen=True)
class Settings:
    """Validated knobs; paths are absolute.

    Attributes:
        start: which of ours gives the problems, and the model if the user brings none.
        methods: what to train.
        steps: training steps.
        seed: of everything.
        out: folder of the results.
        prompts: prompts a step.
        rollouts: responses to each prompt.
        mini_batch: prompts of one update.
        lr: learning rate.
        rank: of ResRL's subspace.
        save_every: steps between checkpoints.
        eval_problems: held-out problems.
        eval_samples: responses to each of them.
        max_prompt: tokens.
        max_response: tokens.
        train_files: the user's data, else empty.
        val_files: the user's held-out data, else empty.
        model: the user's model, else None.
        reward_file: the reward function's file, or None for verl's choice by data source.
        verl_args: more settings for verl.
    """

    start: str
    methods: tuple[str, ...]
    steps: int
    seed: int
    out: Path
    prompts: int
    rollouts: int
    mini_batch: int
    lr: float
    rank: int
    save_every: int
    eval_problems: int
    eval_samples: int
    max_prompt: int
    max_response: int
    train_files: tuple[Path, ...] = ()
    val_files: tuple[Path, ...] = ()
    model: str | None = None
    reward_file: Path | None = None
    verl_args: tuple[str, ...] = ()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the knobs.

        Args:
            environment: such as ``os.environ``; an empty value counts as not set.

        Raises:
            QuickstartError: a value is out of range or two do not fit together.
        """
        values = {knob.name: environment.get(knob.name, "").strip() or knob.default for knob in KNOBS}
        train, val = _files(values["TRAIN_FILES"]), _files(values["VAL_FILES"])
        model = values["MODEL"] or None
        if bool(train) != bool(val):
            raise QuickstartError("TRAIN_FILES and VAL_FILES go together: set both or none")
        if train and model is None:
            raise QuickstartError("TRAIN_FILES needs MODEL: ours are made for their own problems")
        start = values["START"]
        if start not in REWARDS:
            raise QuickstartError(f"START={start} must be one of {', '.join(REWARDS)}; any other model is a MODEL")
        values |= {k: v for k, v in DEFAULTS[OWN if model else start].items() if not values[k]}
        reward = values["REWARD_FILE"]
        prompts, mini_batch = _integer(values, "PROMPTS"), _integer(values, "MINI_BATCH")
        if prompts % mini_batch:
            raise QuickstartError(f"MINI_BATCH={mini_batch} must divide PROMPTS={prompts}")
        return cls(
            start=start,
            methods=_methods(values["METHODS"]),
            steps=_integer(values, "STEPS"),
            seed=_integer(values, "SEED", 0),
            out=Path(values["OUT"]).expanduser().resolve(),
            prompts=prompts,
            rollouts=_integer(values, "ROLLOUTS", 2),
            mini_batch=mini_batch,
            lr=_positive_number(values, "LR"),
            rank=_integer(values, "RANK"),
            save_every=_integer(values, "SAVE_EVERY"),
            eval_problems=_integer(values, "EVAL_PROBLEMS"),
            eval_samples=_integer(values, "EVAL_SAMPLES", 16),
            max_prompt=_integer(values, "MAX_PROMPT"),
            max_response=_integer(values, "MAX_RESPONSE"),
            train_files=train,
            val_files=val,
            model=_absolute_model(model),
            reward_file=Path(reward).expanduser().resolve() if reward else (None if train else REWARDS[start]),
            verl_args=tuple(shlex.split(values["VERL_ARGS"])),
        )


def fingerprint(**parts: object) -> str:
    """Name a combination of settings.

    Args:
        **parts: JSON values, or paths, which count by their text.

    Returns:
        Ten hexadecimal digits.
    """
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:10]


def source_fingerprint(files: Iterable[Path]) -> str:
    """Name the content of source files, so that results of other code are not taken for those of this one.

    Args:
        files: source files below the repository's root.
    """
    return fingerprint(**{str(file.relative_to(ROOT)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files})


def help_text() -> str:
    """Describe the command and its knobs."""
    lines = [
        "Usage: [KNOB=value ...] bash examples/quickstart/run.sh [--help]",
        "",
        "Train a language model with ResRL and with GRPO through verl, and compare them before and after.",
        "Stop it with Ctrl-C at any time; the same command continues where it stopped.",
        "",
    ]
    for title, knobs in (("What to run", KNOBS), ("What to install, and for which device", INSTALL_KNOBS)):
        lines += [f"{title}:"]
        lines += [f"  {knob.name:17}{knob.meaning} [{_default(knob)}]" for knob in knobs]
    lines += ["Defaults by START, and with a MODEL of one's own:"]
    rows = {"": {start: start for start in DEFAULTS}}
    rows |= {name: {start: values[name] for start, values in DEFAULTS.items()} for name in DEFAULTS[OWN]}
    lines += [f"  {name:16}" + "".join(f"{text:14}" for text in row.values()) for name, row in rows.items()]
    return "\n".join(line.rstrip() for line in lines)


def _default(knob: Knob) -> str:
    return knob.default or ("below" if knob.name in DEFAULTS[OWN] else "not set")


def _methods(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(text.replace(",", " ").split()))
    for name in names:
        if name not in METHODS:
            raise QuickstartError(f"METHODS: {name!r} is none of {' '.join(METHODS)}")
    return names


def _integer(values: Mapping[str, str], name: str, low: int = 1) -> int:
    if not re.fullmatch("[0-9]{1,12}", values[name]) or int(values[name]) < low:
        raise QuickstartError(f"{name}={values[name]} must be an integer, {low} or more")
    return int(values[name])


def _positive_number(values: Mapping[str, str], name: str) -> float:
    try:
        number = float(values[name])
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise QuickstartError(f"{name}={values[name]} must be a number above 0")
    return number


def _files(text: str) -> tuple[Path, ...]:
    return tuple(Path(name).expanduser().resolve() for name in shlex.split(text))


def _absolute_model(model: str | None) -> str | None:
    """A folder's absolute path; a hub name as it is."""
    if model is None or not Path(model).expanduser().exists():
        return model
    return str(Path(model).expanduser().resolve())


if __name__ == "__main__":
    print(help_text())
