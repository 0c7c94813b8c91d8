# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Programming: every hyperparameter of the runs in this folder, once. METHOD, set by the run_*.sh files, is all that
# differs between ResRL and its baselines. ResRL's own numbers are the defaults of
# verl_resrl/integration/config/method/resrl.yaml.
#   SANDBOX      bwrap (bubblewrap), or limits where that cannot run: see verl_resrl/tasks/sandbox.py for the difference
#   SANDBOX_URL  of a sandbox-fusion server, which then runs the programs instead
# shellcheck source=examples/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/../launch.sh"
ARGUMENTS=("$@")

# ours: the numbers published for mathematics (arXiv 2605.00380); those for programming are not known to us
: "${PROMPTS:=256}"        # prompts a step
: "${MINI_BATCH:=64}"      # prompts of one optimizer update
: "${ROLLOUTS:=4}"         # responses to each prompt
: "${MAX_PROMPT:=2048}"    # tokens
: "${MAX_RESPONSE:=4096}"  # tokens
: "${LR:=1e-6}"
WARM_UP_STEPS=10
WEIGHT_DECAY=0.1
VAL_TEMPERATURE=0.6
VAL_ROLLOUTS=2             # responses to each validation prompt; the paper's Avg@16 and Pass@16 are `resrl eval`
: "${SANDBOX:=bwrap}"
: "${SANDBOX_URL:=}"
: "${OUT:=outputs/code/${METHOD}_${MODEL##*/}_seed$SEED}"
TRAIN_SETS=(deepcoder)
VAL_SETS=(livecodebench codeforces humaneval-plus)
# filter_groups is for +method=dapo: right answers of different lengths have different rewards, but the same acc
[[ " $* " != *" --help "* ]] || { usage; exit 0; }

REMOTE=()
if [[ -n $SANDBOX_URL ]]; then
    REMOTE=(
        "reward.sandbox_fusion.url=$(quoted "$SANDBOX_URL")"
        "+reward.custom_reward_function.reward_kwargs.sandbox_fusion_url=\${reward.sandbox_fusion.url}"
    )
fi

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
    reward.custom_reward_function.path=pkg://verl_resrl.tasks.code_reward \
    reward.custom_reward_function.name=compute_score \
    "+reward.custom_reward_function.reward_kwargs.isolation=$SANDBOX" \
    ${REMOTE[@]+"${REMOTE[@]}"} \
    +reward_manager=length_scaled
