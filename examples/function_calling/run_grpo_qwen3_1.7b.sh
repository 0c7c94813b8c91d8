#!/usr/bin/env bash
# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
METHOD=grpo
MODEL=${MODEL:-Qwen/Qwen3-1.7B}
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
