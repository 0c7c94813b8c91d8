# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Mathematics: every hyperparameter of the runs in this folder, once. METHOD, set by the run_*.sh files, is all that
# differs between ResRL and its baselines. ResRL's own numbers (rank 64, 4096 positive tokens, quantiles 0.2 and 0.8,
# xi 0.1, lambda_pos 0.1) are the defaults of verl_resrl/integration/config/method/resrl.yaml.
# shellcheck source=examples/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../launch.sh"
ARGUMENTS=("$@")

# published (arXiv 2605.00380)
: "${PROMPTS:=256}"        # prompts a step
: "${MINI_BATCH:=64}"      # prompts of one optimizer update
: "${ROLLOUTS:=4}"         # responses to each prompt
: "${MAX_PROMPT:=2048}"    # tokens
: "${MAX_RESPONSE:=4096}"  # tokens
: "${LR:=1e-6}"
WARM_UP_STEPS=10
WEIGHT_DECAY=0.1
VAL_TEMPERATURE=0.6
# ours
VAL_ROLLOUTS=2             # responses to each validation prompt; the paper's Avg@16 and Pass@128 are `resrl eval`
: "${OUT:=outputs/math/${METHOD}_${MODEL##*/}_seed$SEED}"
TRAIN_SETS=(dapo-math-17k)
VAL_SETS=(aime24 aime25 amc23 math500 minerva olympiadbench)
# filter_groups is for +method=dapo: right answers of different lengths have different rewards, but the same acc
[[ " $* " != *" --help "* ]] || { usage; exit 0; }

launch \
    "data.train_files=$(file_list "$TRAIN_FILES" "${TRAIN_SETS[@]}")" \
    "data.val_files=$(file_list "$VAL_FILES" "${VAL_SETS[@]}")" \
    data.train_batch_size="$PROMPTS" \
    data.max_prompt_length="$MAX_PROMPT" \
    data.max_response_length="$MAX_RESPONSE" \
    data.filter_overlong_prompts=True \
    +data.apply_chat_template_kwargs.enable_thinking=False \
    actor_rollout_ref.actor.optim.lr="$LR" \
    actor_rollout_ref.actor.optim.lr_warmup_steps="$WARM_UP_STEPS" \
    actor_rollout_ref.actor.optim.weight_decay="$WEIGHT_DECAY" \
    actor_rollout_ref.actor.ppo_mini_batch_size="$MINI_BATCH" \
    actor_rollout_ref.actor.use_kl_loss=False \
    algorithm.use_kl_in_reward=False \
    algorithm.filter_groups.metric=acc \
    actor_rollout_ref.rollout.n="$ROLLOUTS" \
    actor_rollout_ref.rollout.val_kwargs.do_sample=True \
    actor_rollout_ref.rollout.val_kwargs.temperature="$VAL_TEMPERATURE" \
    actor_rollout_ref.rollout.val_kwargs.n="$VAL_ROLLOUTS" \
    reward.custom_reward_function.path=pkg://verl_resrl.tasks.math_reward \
    reward.custom_reward_function.name=compute_score \
    +reward_manager=length_scaled
