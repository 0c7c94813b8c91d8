# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by setup_env.sh: what differs on a machine with an NVIDIA GPU. Which device is wanted, whether its driver is
# new enough, flash-attn, and whether PyTorch can use the GPU in the end.
#   DEVICE=cpu         run on the CPU even where there is an NVIDIA GPU
#   FLASH_ATTN_WHEEL   file or address of a prebuilt flash-attn, where its own download page has none that fits

GPU_CUDA=13.0    # of PyTorch's build on PyPI that verl's extra vllm pins
GPU_DRIVER=580   # the first driver with this CUDA
FLASH_ATTN=2.8.3 # what verl's extra fsdp pins

# Is there an NVIDIA GPU, and is it wanted? With DEVICE=cpu, CUDA is hidden from all that follows.
wants_gpu() {
    local found
    case ${DEVICE:-} in
        "") ;;
        cpu)
            export CUDA_VISIBLE_DEVICES=
            return 1
            ;;
        *) _fail "DEVICE=$DEVICE: set it to cpu, or not at all to use an NVIDIA GPU where there is one" ;;
    esac
    if [[ ${CUDA_VISIBLE_DEVICES-all} == "" || ${CUDA_VISIBLE_DEVICES-all} == -1 ]]; then
        return 1 # hidden by the user
    fi
    command -v nvidia-smi >/dev/null 2>&1 || return 1
    found=$(nvidia-smi -L 2>&1) || :
    [[ $found != *"GPU "* ]] || return 0
    echo "setup: going on without a GPU: nvidia-smi says: $(head -n 1 <<<"$found")" >&2
    return 1
}

# Stop before some GB are downloaded that this driver cannot run.
check_driver() {
    local cuda
    cuda=$(nvidia-smi 2>/dev/null | sed -n 's/.*CUDA[A-Za-z ]* Version: *\([0-9]*\.[0-9]*\).*/\1/p' | head -n 1) || :
    if [[ -n $cuda ]] && ((${cuda%.*} < ${GPU_CUDA%.*})); then
        _fail "the NVIDIA driver supports CUDA $cuda, and PyTorch needs $GPU_CUDA: update it to $GPU_DRIVER or newer," \
            "or run on the CPU with DEVICE=cpu"
    fi
}

# Does PyTorch find the GPU that nvidia-smi shows?
check_gpu() {
    local found
    found=$("$PYTHON" - 2>/dev/null <<'PYTHON'
import torch
try:
    torch.cuda.init()
    print("usable")
except Exception as error:  # of the driver: missing, too old, another library's
    print(f"PyTorch {torch.__version__} cannot use it: {str(error).split('. ')[0]}")
PYTHON
    ) || found="PyTorch cannot be imported ($PYTHON -c 'import torch' says why)"
    [[ $found == usable ]] ||
        _fail "nvidia-smi shows a GPU, but $found; mend the driver, or run on the CPU with DEVICE=cpu"
}

# flash-attn's own installation needs PyTorch, which pip's isolated build has not. It downloads a build that fits this
# PyTorch, CUDA and Python if there is one, and compiles with nvcc otherwise. All else works without it.
install_flash_attn() {
    if "$PYTHON" -c 'import flash_attn' >/dev/null 2>&1; then
        return
    fi
    if _phase "what flash-attn is built with" "$PYTHON" -m pip install setuptools wheel packaging psutil ninja &&
        _phase "flash-attn $FLASH_ATTN, prebuilt or by nvcc, which takes long" "$PYTHON" -m pip install \
            --no-build-isolation "${FLASH_ATTN_WHEEL:-flash-attn==$FLASH_ATTN}" &&
        _phase "a look at flash-attn" "$PYTHON" -c 'import flash_attn'; then
        return
    fi
    local cause
    cause=$(_cause)
    # one that cannot be imported would be taken for a whole one
    "$PYTHON" -m pip uninstall --yes flash-attn >>"$SETUP_LOG" 2>&1 || :
    echo "setup: going on without flash-attn ($cause; see $SETUP_LOG): training takes attn_implementation=sdpa, with" \
        "the same results, more memory and time for packed sequences, and no Ulysses (docs/installation.md)"
}
