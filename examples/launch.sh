# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by the common.sh of every domain: the knobs that all domains share, and `launch OVERRIDES...`, which checks the
# whole configuration in seconds and then starts verl's own entry point with it.
set -euo pipefail

MODEL=${MODEL%/}
: "${PYTHON:=python}"          # interpreter of the environment that has verl_resrl
: "${DATA:=data}"              # folder of the files of scripts/prepare_data.py
: "${NNODES:=1}"               # machines
: "${GPUS_PER_NODE:=8}"        # of each
: "${TP:=1}"                   # tensor parallelism of the rollout
: "${GPU_MEMORY:=0.65}"        # share of a GPU's memory that the rollout engine may take
: "${TOKENS_PER_GPU:=16384}"   # tokens of a micro-batch; less saves memory
: "${SEED:=0}"                 # of data order and sampling
: "${STEPS:=500}"              # training steps; more continue an earlier run
: "${SAVE_EVERY:=50}"          # steps between checkpoints
: "${EVAL_EVERY:=25}"          # steps between validations
: "${LOGGER:=console,file,tensorboard}"
: "${TRAIN_FILES:=}"           # parquet files in verl's format, quoted as in a shell; not set: the domain's own, below DATA
: "${VAL_FILES:=}"             # the same for validation
: "${VERL_ARGS:=}"             # more settings for verl, quoted as in a shell; arguments of the script do the same
: "${DRY_RUN:=}"               # 1: check and show the configuration, start nothing

METHODS="resrl grpo nsr w_reinforce dapo"

fail() {
    echo "error: $*" >&2
    exit 1
}

usage() {
    cat <<HELP
Usage: [KNOB=value ...] bash ${0##*/} [verl settings ...]

Trains MODEL (any Hugging Face model) with METHOD ($METHODS) through verl.
It continues from the last checkpoint in OUT.
DRY_RUN=1 checks and shows the whole configuration without a GPU. Knobs and their values now:
  METHOD=${METHOD:-} MODEL=${MODEL:-}
  OUT=$OUT  DATA=$DATA
  TRAIN_FILES=$TRAIN_FILES
  VAL_FILES=$VAL_FILES
  NNODES=$NNODES GPUS_PER_NODE=$GPUS_PER_NODE TP=$TP GPU_MEMORY=$GPU_MEMORY TOKENS_PER_GPU=$TOKENS_PER_GPU
  PROMPTS=$PROMPTS ROLLOUTS=$ROLLOUTS MINI_BATCH=$MINI_BATCH LR=$LR MAX_PROMPT=$MAX_PROMPT MAX_RESPONSE=$MAX_RESPONSE
  STEPS=$STEPS SAVE_EVERY=$SAVE_EVERY EVAL_EVERY=$EVAL_EVERY SEED=$SEED
  LOGGER=$LOGGER PYTHON=$PYTHON VERL_ARGS=$VERL_ARGS
What they mean: examples/launch.sh and the domain's common.sh. Several machines: examples/cluster/.
HELP
}

# The words of a text, each on a line: quotes are those of a shell.
words() {
    xargs -n1 printf '%s\n' <<<"$1"
}

for knob in TRAIN_FILES VAL_FILES VERL_ARGS; do
    words "${!knob}" >/dev/null 2>&1 || fail "$knob=${!knob} has unbalanced quotes"
done

# Text as a value of Hydra's override grammar, whatever characters it has.
quoted() {
    local text=${1//\\/\\\\}
    printf "'%s'" "${text//\'/\\\'}"
}

absolute() {
    case $1 in
        /*) printf '%s' "$1" ;;
        *) printf '%s' "$PWD/$1" ;;
    esac
}

# The given files as a Hydra list of absolute paths; without any, the domain's prepared ones.
file_list() { # GIVEN NAME...
    local files=() names=() name
    while IFS= read -r name; do
        [[ -z $name ]] || names+=("$name")
    done < <(words "$1")
    shift
    if ((${#names[@]} == 0)); then
        for name in "$@"; do names+=("$DATA/$name.parquet"); done
    fi
    for name in "${names[@]}"; do files+=("$(quoted "$(absolute "$name")")"); done
    local IFS=,
    printf '[%s]' "${files[*]}"
}

# Check the configuration, then run verl with it. Settings that are the same in every domain are added here.
launch() { # OVERRIDES...
    [[ " $METHODS " == *" ${METHOD:-} "* ]] || fail "METHOD=${METHOD:-} is none of $METHODS"
    local model=$MODEL rollout=actor_rollout_ref.rollout actor=actor_rollout_ref.actor
    [[ ! -d $model ]] || model=$(absolute "$model")
    # verl empties this file when it starts: each attempt has its own, and resrl compare reads them all
    local log next=0
    for log in "$OUT"/metrics/*.jsonl; do
        log=${log##*/}
        [[ ! ${log%.jsonl} =~ ^[0-9]+$ ]] || next=$((10#${log%.jsonl} + 1))
    done
    : "${VERL_FILE_LOGGER_PATH:=$(absolute "$OUT")/metrics/$(printf %04d "$next").jsonl}"
    : "${TENSORBOARD_DIR:=$(absolute "$OUT")/tensorboard}"
    export VERL_FILE_LOGGER_PATH TENSORBOARD_DIR
    # on a cluster that is up, the process that writes them does not inherit this environment
    local variables=ray_kwargs.ray_init.runtime_env.env_vars
    local overrides=(
        "+method=$METHOD"
        "actor_rollout_ref.model.path=$(quoted "$model")"
        "actor_rollout_ref.model.use_remove_padding=True"
        "actor_rollout_ref.model.enable_gradient_checkpointing=True"
        "$actor.use_dynamic_bsz=True"
        "$actor.ppo_max_token_len_per_gpu=$TOKENS_PER_GPU"
        "$actor.checkpoint.save_contents=[model,optimizer,extra,hf_model]" # hf_model is for resrl eval
        "$rollout.name=vllm"
        "$rollout.tensor_model_parallel_size=$TP"
        "$rollout.gpu_memory_utilization=$GPU_MEMORY"
        "$rollout.seed=$SEED"
        "data.seed=$SEED"
        "trainer.nnodes=$NNODES"
        "trainer.n_gpus_per_node=$GPUS_PER_NODE"
        "trainer.total_epochs=1000000"
        "trainer.total_training_steps=$STEPS"
        "trainer.save_freq=$SAVE_EVERY"
        "trainer.test_freq=$EVAL_EVERY"
        "trainer.logger=[$LOGGER]"
        "trainer.project_name=$(quoted "verl_resrl-${model##*/}")"
        "trainer.experiment_name=$METHOD" # resrl compare: runs of this name differ in the seed
        "trainer.default_local_dir=$(quoted "$(absolute "$OUT")/checkpoints")"
        "hydra.run.dir=$(quoted "$(absolute "$OUT")/hydra")"
        "++$variables.VERL_FILE_LOGGER_PATH=$(quoted "$VERL_FILE_LOGGER_PATH")"
        "++$variables.TENSORBOARD_DIR=$(quoted "$TENSORBOARD_DIR")"
        "$@"
    )
    local line
    while IFS= read -r line; do
        [[ -z $line ]] || overrides+=("$line")
    done < <(words "$VERL_ARGS")
    overrides+=("${ARGUMENTS[@]+"${ARGUMENTS[@]}"}")
    # verl's own choice, flash-attn, cannot be had on every machine
    if [[ ${overrides[*]} != *attn_implementation=* ]] && ! "$PYTHON" -c 'import flash_attn' >/dev/null 2>&1; then
        echo "attention: sdpa, because flash-attn cannot be imported here (docs/installation.md)" >&2
        overrides+=("++actor_rollout_ref.model.override_config.attn_implementation=sdpa") # +device=cpu has it
    fi

    local check=("$PYTHON" -m verl_resrl.integration.dry_run)
    if [[ $DRY_RUN == 1 && -z $TRAIN_FILES && -z $VAL_FILES ]]; then
        check+=(--missing-data-ok)
    fi
    "${check[@]}" "${overrides[@]}" || exit
    [[ $DRY_RUN != 1 ]] || exit 0
    mkdir -p "$OUT/metrics"
    exec "$PYTHON" -m verl.trainer.main_ppo "${overrides[@]}"
}
