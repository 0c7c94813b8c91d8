#!/usr/bin/env bash
# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
# All that only a GPU can tell, in one command of 8 minutes at most, on a machine that has PyTorch and Triton and nothing
# else: nothing is installed or downloaded, and neither verl nor Ray is needed.
#   bash scripts/gpu_check.sh              with the python3 on the PATH; PYTHON names another one
#   bash scripts/gpu_check.sh --trainer    then five steps of verl's trainer, on a machine that has verl and vLLM
#   bash scripts/gpu_check.sh --help       what is checked, and where the results go
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
exec "${PYTHON:-python3}" "$ROOT/scripts/gpu_check.py" "$@"
