# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Function calling: BFCL multi-turn through the benchmark's own simulated APIs and checker (+agent=bfcl). Every
# hyperparameter of the runs in this folder, once. METHOD, set by the run_*.sh files, is all that differs between ResRL and
# its baselines. Needs: pip install mpmath pebble && pip install --no-deps bfcl-eval
# Evaluation alone: resrl eval --benchmark bfcl --model MODEL
# Accuracy of a training's validations as the leaderboard counts it: python -m verl_resrl.tasks.bfcl_accuracy OUT
: "${TOKENS_PER_GPU:=24576}"  # a whole conversation must fit
# shellcheck source=examples/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../launch.sh"
ARGUMENTS=("$@")

# as published for mathematics (arXiv 2605.00380)
: "${LR:=1e-6}"
WARM_UP_STEPS=10
WEIGHT_DECAY=0.1
# ours
: "${PROMPTS:=64}"         # tasks a step
: "${MINI_BATCH:=32}"      # tasks of one optimizer update
: "${ROLLOUTS:=8}"         # conversations of each task
: "${MAX_PROMPT:=12288}"   # tokens; the descriptions of the functions and the first request
: "${MAX_RESPONSE:=12288}" # tokens; the rest of the conversation, with what users say and functions return
TOKENS_PER_STEP=1024       # that the model may use to call functions once
VAL_TEMPERATURE=0          # as on the leaderboard
: "${OUT:=outputs/function_calling/${METHOD}_${MODEL##*/}_seed$SEED}"
[[ " $* " != *" --help "* ]] || { usage; exit 0; }

launch \
    +agent=bfcl \
    "data.train_files=$(file_list "$TRAIN_FILES" bfcl/train)" \
    "data.val_files=$(file_list "$VAL_FILES" bfcl/test)" \
    data.train_batch_size="$PROMPTS" \
    data.max_prompt_length="$MAX_PROMPT" \
    data.max_response_length="$MAX_RESPONSE" \
    +data.apply_chat_template_kwargs.enable_thinking=False \
    actor_rollout_ref.actor.optim.lr="$LR" \
    actor_rollout_ref.actor.optim.lr_warmup_steps="$WARM_UP_STEPS" \
    actor_rollout_ref.actor.optim.weight_decay="$WEIGHT_DECAY" \
    actor_rollout_ref.actor.ppo_mini_batch_size="$MINI_BATCH" \
    actor_rollout_ref.actor.use_kl_loss=False \
    algorithm.use_kl_in_reward=False \
    actor_rollout_ref.rollout.n="$ROLLOUTS" \
    actor_rollout_ref.rollout.agent.max_tokens_per_turn="$TOKENS_PER_STEP" \
    actor_rollout_ref.rollout.val_kwargs.temperature="$VAL_TEMPERATURE"
