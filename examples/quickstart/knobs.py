# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The knobs of the quickstart: upper-case environment variables. Needs nothing but Python, so that --help is quick."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
METHODS = ("resrl", "grpo", "w_reinforce", "nsr", "psr")
COUNTDOWN = ROOT / "verl_resrl" / "tasks" / "countdown.py"
WORD_PROBLEMS = ROOT / "verl_resrl" / "tasks" / "word_problems.py"
SMALL, SMOLLM2, OWN = "tiny", "smollm2-135m", "MODEL"
FROM_HUB = {"qwen3-0.6b": "Qwen/Qwen3-0.6B", "qwen3-1.7b": "Qwen/Qwen3-1.7B"}
REWARDS = {SMALL: COUNTDOWN, SMOLLM2: WORD_PROBLEMS, **dict.fromkeys(FROM_HUB, WORD_PROBLEMS)}


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
    Knob("MODEL", "", "Hugging Face chat model, folder or name on the hub, in place of START; needs the next two"),
    Knob("TRAIN_FILES", "", "parquet files in verl's format, for MODEL"),
    Knob("VAL_FILES", "", "the same for the held-out problems"),
    Knob(
        "REWARD_FILE",
        "",
        "Python file with verl's compute_score(); by default START's, with a MODEL verl's choice by data_source",
    ),
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


if __name__ == "__main__":
    print(help_text())
