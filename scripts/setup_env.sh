# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by run.sh, test.sh and benchmark.sh: `setup_env EXTRAS` creates or reuses a virtual environment, installs the
# package with these extras if that has not been done yet, and leaves the environment's interpreter in PYTHON.
#   VENV             folder of the environment (default .venv in the repository; an active environment comes first)
#   TORCH_VERSION    PyTorch to install where there is no NVIDIA GPU
#   TORCH_INDEX_URL  package index that has PyTorch's CPU builds, for pip and uv

SETUP_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

_fail() {
    echo "error: $*" >&2
    exit 1
}

has_nvidia_gpu() {
    command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L 2>/dev/null | grep -q GPU
}

_fits() { # PYTHON: is it a version that the package supports?
    "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' >/dev/null 2>&1
}

# Print a Python 3.10 to 3.12 of this machine.
find_python() {
    local name
    for name in python3.12 python3.11 python3.10 python3 python; do
        if command -v "$name" >/dev/null 2>&1 && _fits "$name"; then
            command -v "$name"
            return
        fi
    done
    _fail "no Python 3.10, 3.11 or 3.12 found: install one, or activate an environment that has one"
}

# Run a command with its output in the log; print one line with its seconds.
_phase() { # WHAT COMMAND...
    local what=$1 start=$SECONDS
    shift
    printf 'setup: %s ... ' "$what"
    printf '\n== %s: %s\n' "$what" "$*" >>"$SETUP_LOG"
    if "$@" >>"$SETUP_LOG" 2>&1; then
        echo "$((SECONDS - start)) s"
    else
        echo "failed after $((SECONDS - start)) s"
        return 1
    fi
}

_create_venv() { # PYTHON FOLDER; also completes one that was stopped half way
    "$1" -m venv "$2" && "$2/bin/python" -m pip --version
}

_install_torch() {
    local version=${TORCH_VERSION:-2.13.0}
    local index=()
    if [[ -n ${TORCH_INDEX_URL:-} ]]; then
        index=(--extra-index-url "$TORCH_INDEX_URL")
    fi
    if "$PYTHON" -c 'import torch' >/dev/null 2>&1; then
        return
    fi
    # macOS and Arm builds have no CUDA in them; elsewhere only a build marked +cpu is sure to have none
    if [[ $(uname -s) != Linux || $(uname -m) != x86_64 ]]; then
        _phase "PyTorch $version" "$PYTHON" -m pip install ${index[@]+"${index[@]}"} "torch==$version" ||
            _fail "PyTorch $version could not be installed, see $SETUP_LOG"
        return
    fi
    _phase "PyTorch $version for CPU" "$PYTHON" -m pip install ${index[@]+"${index[@]}"} "torch==$version+cpu" ||
        _phase "PyTorch $version for CPU, with uv" _install_torch_with_uv "$version" ||
        _fail "no CPU build of PyTorch $version found: set TORCH_INDEX_URL to PyTorch's CPU wheel index (see $SETUP_LOG)"
}

_install_torch_with_uv() { # VERSION; uv knows where PyTorch's CPU builds are
    "$PYTHON" -m pip install uv && "$PYTHON" -m uv pip install --python "$PYTHON" --torch-backend=cpu "torch==$1"
}

# One line that names what an installation depends on. Sources are not part of it: the install is editable.
_stamp() { # EXTRAS
    echo "$1 ${TORCH_VERSION:-default} $(cksum <"$SETUP_ROOT/setup.py")"
}

setup_env() { # EXTRAS, such as cpu or cpu,test
    local extras=$1 venv=${VIRTUAL_ENV:-${VENV:-$SETUP_ROOT/.venv}} base
    SETUP_LOG=$venv/verl_resrl_setup.log
    PYTHON=$venv/bin/python
    if [[ ! -x $PYTHON ]] || ! "$PYTHON" -m pip --version >/dev/null 2>&1; then
        [[ $venv != "${VIRTUAL_ENV:-}" ]] || _fail "the active environment $venv has no working Python with pip"
        base=$(find_python) || exit 1
        mkdir -p "$venv" || exit 1
        _phase "virtual environment $venv" _create_venv "$base" "$venv" ||
            _fail "cannot create $venv, see $SETUP_LOG (on Debian and Ubuntu, install python3-venv first)"
    fi
    _fits "$PYTHON" || _fail "$("$PYTHON" --version) in $venv: Python 3.10, 3.11 or 3.12 is needed"
    local stamps=$venv/verl_resrl_setup.stamps # one line for each set of extras that has been installed
    if grep -qxF "$(_stamp "$extras")" "$stamps" 2>/dev/null; then
        return
    fi
    echo "setup: log in $SETUP_LOG"
    if [[ ,$extras, != *,gpu,* ]]; then
        _install_torch
    fi
    _phase "verl_resrl[$extras] and what it needs" "$PYTHON" -m pip install -e "$SETUP_ROOT[$extras]" ||
        _fail "installing verl_resrl[$extras] failed: $(grep -a '^ERROR' "$SETUP_LOG" | tail -n 1) (see $SETUP_LOG)"
    if [[ ,$extras, == *,test,* || ,$extras, == *,agents,* ]]; then
        # its pins would downgrade numpy, and the part that is used here does not need them
        _phase "bfcl-eval" "$PYTHON" -m pip install --no-deps "bfcl-eval==2026.3.23" ||
            _fail "installing bfcl-eval failed, see $SETUP_LOG"
    fi
    # another setup.py may have changed what earlier extras installed
    printf '%s\n%s\n' "$(grep -F " $(cksum <"$SETUP_ROOT/setup.py")" "$stamps" 2>/dev/null)" "$(_stamp "$extras")" >"$stamps"
}
