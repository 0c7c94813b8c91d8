# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by run.sh, test.sh and benchmark.sh: `setup_for_device [EXTRAS]` creates or reuses a virtual environment, installs
# the package for this machine, with an NVIDIA GPU or without one, if that has not been done yet, and leaves the
# environment's interpreter in PYTHON.
#   VENV             folder of the environment (default .venv in the repository; an active environment comes first)
#   PYTHON_VERSION   3.10, 3.11 or 3.12: the Python that a new environment is made of (default: the newest of these)
#   TORCH_VERSION    PyTorch to install where there is no NVIDIA GPU
#   TORCH_INDEX_URL  package index that has PyTorch's CPU builds, for pip and uv
# More knobs: setup_gpu.sh.

SETUP_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/setup_phases.sh
source "$SETUP_ROOT/scripts/setup_phases.sh"
# shellcheck source=scripts/setup_gpu.sh
source "$SETUP_ROOT/scripts/setup_gpu.sh"

OLDEST_PIP=21.3 # the first that installs a package of pyproject.toml in place
CPU_GB=3        # of an environment without a GPU, and with one; both with what lies there during the installation
GPU_GB=13

setup_for_device() { # [EXTRAS], such as test
    local more=${1:+,$1}
    if wants_gpu; then
        check_driver
        setup_env "gpu$more"
        check_gpu
    else
        setup_env "cpu$more"
    fi
}

setup_env() { # EXTRAS, such as gpu or cpu,test
    local extras=$1 venv=${VIRTUAL_ENV:-${VENV:-$SETUP_ROOT/.venv}}
    [[ $venv == /* ]] || venv=$PWD/$venv
    local lock
    lock=$(setup_lock "$venv")
    _take "$lock"
    _setup_env "$extras" "$venv"
    rm -rf "$lock"
}

# Print the folder that says that an environment is being installed on this machine.
setup_lock() { # FOLDER
    echo "${TMPDIR:-/tmp}/verl_resrl_setup-$(id -u)-$(cksum <<<"$1" | tr ' ' -)"
}

# One installation at a time: two that write into one environment leave half of each.
_take() { # LOCK
    local owner told=
    until mkdir "$1" 2>/dev/null; do
        owner=$(cat "$1/pid" 2>/dev/null) || :
        if [[ -n $owner ]] && ! kill -0 "$owner" 2>/dev/null; then
            rm -rf "$1" # of one that was stopped
            continue
        fi
        [[ -n $told ]] ||
            echo "setup: waiting for another installation (process ${owner:-unknown}; if there is none, delete $1)"
        told=1
        sleep 1
    done
    echo $$ >"$1/pid"
}

_setup_env() { # EXTRAS FOLDER
    local extras=$1 venv=$2 base
    SETUP_LOG=$venv/verl_resrl_setup.log
    PYTHON=$venv/bin/python
    if [[ ! -x $PYTHON ]] || ! "$PYTHON" -m pip --version >/dev/null 2>&1; then
        [[ $venv != "${VIRTUAL_ENV:-}" ]] ||
            _fail "the active environment $venv has no Python with pip: python -m ensurepip, or uv pip install pip"
        base=$(find_python) || exit 1
        _check_disk "$venv" "$extras"
        mkdir -p "$venv" || exit 1
        _phase "virtual environment $venv" _create_venv "$base" "$venv" ||
            _fail "cannot create $venv: $(_cause); see $SETUP_LOG (on Debian and Ubuntu, install python3-venv first)"
    fi
    _fits "$PYTHON" || _fail "$("$PYTHON" --version) in $venv: Python 3.10, 3.11 or 3.12 is needed"
    local stamps=$venv/verl_resrl_setup.stamps # one line for each set of extras that has been installed
    if grep -qxF "$(_stamp "$extras")" "$stamps" 2>/dev/null; then
        return
    fi
    _check_disk "$venv" "$extras"
    _check_torch "$venv" "$extras"
    echo "setup: log in $SETUP_LOG"
    _check_pip "$venv"
    # until this installation is whole, none that it may change counts as such; another setup.py makes others out of date
    local whole
    whole=$(grep -F " $(cksum <"$SETUP_ROOT/setup.py") $SETUP_ROOT" "$stamps" 2>/dev/null) || :
    rm -f "$stamps"
    _install "$extras"
    printf '%s\n%s\n' "$whole" "$(_stamp "$extras")" >"$stamps"
}

# Print a Python 3.10 to 3.12 of this machine.
find_python() {
    local name names=(python3.12 python3.11 python3.10 python3 python)
    if [[ -n ${PYTHON_VERSION:-} ]]; then
        names=("python$PYTHON_VERSION")
    fi
    for name in "${names[@]}"; do
        if command -v "$name" >/dev/null 2>&1 && _fits "$name"; then
            command -v "$name"
            return
        fi
    done
    _fail "no Python ${PYTHON_VERSION:-3.10, 3.11 or 3.12} found: install one, or activate an environment that has one"
}

_fits() { # PYTHON: is it a version that the package supports?
    "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' >/dev/null 2>&1
}

_create_venv() { # PYTHON FOLDER; also completes one that was stopped half way
    "$1" -m venv "$2" && "$2/bin/python" -m pip --version
}

# One line that names what an installation depends on. Of the sources the folder alone: the install is editable.
_stamp() { # EXTRAS
    echo "$1 ${TORCH_VERSION:-default} $(cksum <"$SETUP_ROOT/setup.py") $SETUP_ROOT"
}

_check_disk() { # FOLDER EXTRAS; the folder need not exist yet
    local folder=$1 need=$CPU_GB free there
    [[ $2 != gpu* ]] || need=$GPU_GB
    if [[ -d $1 ]]; then # what it has already needs no room
        there=$(($(du -sk "$1" | awk '{print $1}') / 1024 / 1024))
        need=$((there < need ? need - there : 1))
    fi
    while [[ ! -d $folder ]]; do folder=$(dirname "$folder"); done
    free=$(($(df -Pk "$folder" | awk 'END{print $4}') / 1024 / 1024))
    ((free >= need)) ||
        _fail "$free GB free for $1, and the installation takes $need: make room, or set VENV to a folder elsewhere"
}

_check_pip() { # FOLDER
    local version
    version=$("$PYTHON" -m pip --version | awk '{print $2}')
    [[ $(printf '%s\n' "$OLDEST_PIP" "$version" | sort -V | head -n 1) != "$OLDEST_PIP" ]] || return 0
    [[ $1 != "${VIRTUAL_ENV:-}" ]] ||
        _fail "pip $version in the active environment $1 is too old: $PYTHON -m pip install --upgrade pip"
    _phase "pip in place of $version, which is too old" "$PYTHON" -m pip install --upgrade pip ||
        _fail "pip $version is too old and cannot be replaced: $(_cause); see $SETUP_LOG"
}

# A PyTorch that is already there stays: another one would break what else the environment is used for.
_check_torch() { # FOLDER EXTRAS
    local found want why
    found=$("$PYTHON" -c 'from importlib.metadata import version; print(version("torch"))' 2>/dev/null) || return 0
    if [[ $2 == gpu* ]]; then
        want=$(sed -n 's/^torch==//p' "$SETUP_ROOT/requirements-gpu.txt")
        [[ ${found%%+*} != "$want" || $found == *+cpu ]] || return 0
        why="$want with CUDA, which verl pins"
    else
        want=$(grep -o 'torch>=[0-9.]*' "$SETUP_ROOT/setup.py" | tr -d 'a-z>=')
        [[ $(printf '%s\n' "$want" "${found%%+*}" | sort -V | head -n 1) != "$want" ]] || return 0
        why="$want or newer"
    fi
    _fail "$1 has PyTorch $found, and $why, is needed: set VENV to a new folder${VIRTUAL_ENV:+ and deactivate this one}"
}

_install() { # EXTRAS
    local extras=$1
    if [[ $extras == gpu* ]]; then
        _phase "verl's stack for GPUs: PyTorch, vLLM, transformers, about 5 GB to download" \
            "$PYTHON" -m pip install "$(grep -o 'verl\[vllm\][^"]*' "$SETUP_ROOT/setup.py")" ||
            _fail "installing verl's stack for GPUs failed: $(_cause) (see $SETUP_LOG)"
        install_flash_attn
    else
        _install_torch
    fi
    _phase "verl_resrl[$extras] and what it needs" "$PYTHON" -m pip install -e "$SETUP_ROOT[$extras]" ||
        _fail "installing verl_resrl[$extras] failed: $(_cause) (see $SETUP_LOG)"
    if [[ ,$extras, == *,test,* || ,$extras, == *,agents,* ]]; then
        # its pins would downgrade numpy, and the part that is used here does not need them
        _phase "bfcl-eval" "$PYTHON" -m pip install --no-deps "bfcl-eval==2026.3.23" ||
            _fail "installing bfcl-eval failed: $(_cause) (see $SETUP_LOG)"
    fi
}

_install_torch() {
    local version=${TORCH_VERSION:-2.13.0} index=()
    if [[ -n ${TORCH_INDEX_URL:-} ]]; then
        index=(--extra-index-url "$TORCH_INDEX_URL")
    fi
    if "$PYTHON" -c 'import torch' >/dev/null 2>&1; then
        return
    fi
    # macOS and Arm builds have no CUDA in them; elsewhere only a build marked +cpu is sure to have none
    if [[ $(uname -s) != Linux || $(uname -m) != x86_64 ]]; then
        _phase "PyTorch $version" "$PYTHON" -m pip install ${index[@]+"${index[@]}"} "torch==$version" ||
            _fail "PyTorch $version could not be installed: $(_cause) (see $SETUP_LOG)"
        return
    fi
    _phase "PyTorch $version for CPU" "$PYTHON" -m pip install ${index[@]+"${index[@]}"} "torch==$version+cpu" ||
        _phase "PyTorch $version for CPU, with uv" _install_torch_with_uv "$version" ||
        _fail "no CPU build of PyTorch $version found: $(_cause); TORCH_INDEX_URL names an index that has one" \
            "(see $SETUP_LOG)"
}

_install_torch_with_uv() { # VERSION; uv knows where PyTorch's CPU builds are
    "$PYTHON" -m pip install uv && "$PYTHON" -m uv pip install --python "$PYTHON" --torch-backend=cpu "torch==$1"
}
