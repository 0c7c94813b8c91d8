#!/usr/bin/env bash
# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
# What ray_submit.sh runs on the head node: the script, in the folder from which it was submitted.
set -euo pipefail
cd "$RUN_FROM"
exec bash "$@"
