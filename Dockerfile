# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
# verl_resrl on one of verl's published images (https://hub.docker.com/r/verlai/verl), which have CUDA, PyTorch, vLLM and
# flash attention, but not verl itself.
#   docker build -t verl_resrl .
#   docker run --rm -it --gpus all --net=host --shm-size=10g --cap-add=SYS_ADMIN -v "$PWD:/workspace" verl_resrl
# SYS_ADMIN, which verl's own documentation asks for too, lets bubblewrap make the sandbox of the code reward.
ARG BASE=verlai/verl
# the line of images that verl 0.9 is tested on: CUDA 13.0, PyTorch 2.11, vLLM 0.24, transformers 5.5.3
ARG TAG=vllm024.dev2
FROM ${BASE}:${TAG}

RUN apt-get update \
    && apt-get install -y --no-install-recommends bubblewrap \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/verl_resrl
# verl without its dependencies: the image has the versions that were built to fit each other
RUN python3 -m pip install --no-cache-dir --no-deps "verl==0.9.1"
COPY . .
# the extra "eval" brings what rewards and data need, and leaves PyTorch and vLLM as they are
RUN python3 -m pip freeze | grep -iE '^(torch|vllm|transformers|ray|numpy)==' > /tmp/constraints.txt \
    && python3 -m pip install --no-cache-dir --constraint /tmp/constraints.txt \
        "TransferQueue>=0.1.10" cachetools msgspec \
    && python3 -m pip install --no-cache-dir --constraint /tmp/constraints.txt -e ".[eval]" \
    && rm /tmp/constraints.txt

# fail here rather than on the cluster
RUN bwrap --version \
    && DRY_RUN=1 PYTHON=python3 bash examples/math/run_resrl_qwen3_4b.sh

WORKDIR /workspace
CMD ["bash"]
