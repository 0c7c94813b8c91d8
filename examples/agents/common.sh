# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Agents in text environments: ENVIRONMENT=alfworld, webshop or textworld. Every hyperparameter of the runs in this folder,
# once. METHOD, set by the run_*.sh files, is all that differs between ResRL and its baselines. What an environment needs:
# verl_resrl/tasks/alfworld.py, webshop.py, textworld_data.py.
# Evaluation alone, the success rate: resrl eval --benchmark alfworld --model MODEL
: "${ENVIRONMENT:=alfworld}"  # alfworld, webshop or textworld
# shellcheck source=examples/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../launch.sh"
ARGUMENTS=("$@")

# as published for mathematics (arXiv 2605.00380)
: "${LR:=1e-6}"
WARM_UP_STEPS=10
WEIGHT_DECAY=0.1
# ours
: "${PROMPTS:=16}"         # tasks a step
: "${MINI_BATCH:=16}"      # tasks of one optimizer update
: "${ROLLOUTS:=8}"         # episodes of each task
: "${MAX_PROMPT:=2048}"    # tokens; the instruction and the first observation
: "${MAX_RESPONSE:=12288}" # tokens; the rest of the episode, observations included
: "${OUT:=outputs/agents/${ENVIRONMENT}_${METHOD}_${MODEL##*/}_seed$SEED}"
VAL_TEMPERATURE=0.4
case $ENVIRONMENT in
    alfworld) VAL_SETS=(alfworld/test_seen alfworld/test_unseen) ;;
    webshop | textworld) VAL_SETS=("$ENVIRONMENT/test") ;;
    *) fail "ENVIRONMENT=$ENVIRONMENT is none of alfworld, webshop, textworld" ;;
esac
[[ " $* " != *" --help "* ]] || { usage; exit 0; }

launch \
    "+agent=$ENVIRONMENT" \
    "data.train_files=$(file_list "$TRAIN_FILES" "$ENVIRONMENT/train")" \
    "data.val_files=$(file_list "$VAL_FILES" "${VAL_SETS[@]}")" \
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
    actor_rollout_ref.rollout.val_kwargs.do_sample=True \
    actor_rollout_ref.rollout.val_kwargs.temperature="$VAL_TEMPERATURE"
