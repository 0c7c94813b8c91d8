#!/usr/bin/env bash
# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
# The kernel's tests under every Triton that people have, each installed beside the environment of scripts/test.sh:
# in the interpreter, and compiled for sm_80, sm_90 and sm_100. Arguments are versions in place of these:
#   3.6.0  PyTorch 2.11, which verl's extra vllm pins
#   3.7.1  PyTorch 2.13 for CUDA
#   3.8.0 and 3.9.0  newer ones; requirements.txt has the last
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/setup_env.sh
source "$ROOT/scripts/setup_env.sh"

export DEVICE=cpu
setup_for_device test
cd "$ROOT"
(($#)) || set -- 3.6.0 3.7.1 3.8.0 3.9.0
for version in "$@"; do
    folder=$ROOT/build/triton-$version
    if [[ ! -f $folder/whole ]]; then
        rm -rf "$folder"
        mkdir -p "$folder"
        _phase "Triton $version" "$PYTHON" -m pip install --no-deps --target "$folder" "triton==$version" ||
            _fail "Triton $version could not be installed: $(_cause) (see $SETUP_LOG)"
        touch "$folder/whole"
    fi
    echo "== Triton $version"
    PYTHONPATH=$folder "$PYTHON" -m pytest -q -n 2 --dist load tests/algorithm/test_residual_triton.py
done
