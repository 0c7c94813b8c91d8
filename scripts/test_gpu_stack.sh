#!/usr/bin/env bash
# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
# Install what a machine with an NVIDIA GPU gets (PyTorch for CUDA, vLLM, transformers as verl pins them) into an
# environment of its own, .venv-gpu, and run the tests with CUDA hidden. Needs no GPU; arguments go to pytest.
#   bash scripts/test_gpu_stack.sh
#   PYTHON_VERSION=3.10 bash scripts/test_gpu_stack.sh    in .venv-gpu-3.10 (default: 3.12)
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/setup_env.sh
source "$ROOT/scripts/setup_env.sh"

unset VIRTUAL_ENV
if [[ -z ${PYTHON_VERSION:-} ]]; then
    PYTHON_VERSION=3.12 VENV=$ROOT/.venv-gpu
else
    VENV=$ROOT/.venv-gpu-$PYTHON_VERSION
fi
export CUDA_VISIBLE_DEVICES=
export FLASH_ATTENTION_SKIP_CUDA_BUILD=TRUE # its Python alone: nothing here could run the rest
setup_env gpu,test
cd "$ROOT"
if [[ " $* " != *" -m "* ]]; then
    set -- -m "not long" "$@"
fi
exec "$PYTHON" -m pytest "$@"
