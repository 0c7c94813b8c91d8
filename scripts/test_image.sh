#!/usr/bin/env bash
# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
# As root on Debian or Ubuntu, with debootstrap and buildah: build the Dockerfile without Docker and without a GPU, on a
# stand-in for verl's published image, and run the tests of the rewards inside. Nothing is published.
#   OUT=outputs/image bash scripts/test_image.sh
# Knobs: OUT, PIP_MOUNTS (files and folders of this machine that pip needs in the image to reach its index, such as
# /etc/pip.conf), MIRROR (of Debian), TESTS (arguments of pytest). What differs from verl's image: docs/scale.md.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
OUT=${OUT:-outputs/image}
SUITE=bookworm # its Python is 3.11, which the package supports; that of verl's image is 3.12
TORCH=${TORCH:-2.13.0+cpu}
BASE=localhost/verl_resrl_stand_in
read -ra TESTS <<<"${TESTS:-}"
if ((${#TESTS[@]} == 0)); then
    TESTS=(tests/tasks/test_{math_reward,math_answers,math_parts,code_reward,countdown}.py) # the rewards
fi

fail() {
    echo "error: $*" >&2
    exit 1
}

[[ $(id -u) == 0 ]] || fail "needs root: debootstrap makes a system, and containers are made of namespaces"
for tool in debootstrap buildah git; do
    command -v "$tool" >/dev/null || fail "needs $tool: apt-get install debootstrap buildah git"
done
mkdir -p "$OUT"
OUT=$(cd "$OUT" && pwd)
export BUILDAH_ISOLATION=chroot # needs no runtime, and works where containers may not be started
storage=(--root "$OUT/storage" --runroot "$OUT/run")
mounts=()
for path in ${PIP_MOUNTS:-}; do
    [[ -e $path ]] || fail "PIP_MOUNTS: no $path"
    mounts+=(--volume "$path:$path:ro")
done

build() { # TAG FOLDER [OPTIONS]
    local tag=$1 folder=$2
    shift 2
    buildah "${storage[@]}" build --layers --network host "${mounts[@]}" --tag "$tag" "$@" "$folder"
}

# Python, pip and a CPU build of PyTorch with what verl requires, but not verl itself, as verl's image has them for CUDA
stand_in() {
    local tree=$OUT/debian
    rm -rf "$tree" "$OUT/base"
    mkdir -p "$OUT/base"
    debootstrap --variant=minbase --include=ca-certificates,python3-dev,python3-pip,python3-venv "$SUITE" "$tree" \
        ${MIRROR:+"$MIRROR"}
    tar -C "$tree" -cf "$OUT/base/debian.tar" .
    rm -rf "$tree"
    cat >"$OUT/base/Dockerfile" <<DOCKERFILE
FROM scratch
ADD debian.tar /
ENV PIP_BREAK_SYSTEM_PACKAGES=1
RUN python3 -m pip install --no-cache-dir "torch==$TORCH" "verl==0.9.1" && python3 -m pip uninstall -y verl
CMD ["bash"]
DOCKERFILE
    build "$BASE:1" "$OUT/base"
    rm "$OUT/base/debian.tar"
}

buildah "${storage[@]}" inspect --type image "$BASE:1" >/dev/null 2>&1 || stand_in
# a fresh clone: what is lying about in this one stays out
rm -rf "$OUT/clone"
git clone --quiet "$ROOT" "$OUT/clone"
build verl_resrl "$OUT/clone" --build-arg "BASE=$BASE" --build-arg TAG=1
container=$(buildah "${storage[@]}" from verl_resrl)
trap 'buildah "${storage[@]}" rm "$container" >/dev/null' EXIT
buildah "${storage[@]}" run --network host "${mounts[@]}" "$container" -- \
    python3 -m pip install --quiet --no-cache-dir pytest pytest-xdist hypothesis
# a root of its own, as in `docker run --cap-add=SYS_ADMIN`, and not chroot: there, the kernel gives bubblewrap no sandbox
tree=$(buildah "${storage[@]}" mount "$container")
# shellcheck disable=SC2016
unshare --mount --pid --fork --kill-child --uts bash -c '
    set -e
    mount --bind "$0" "$0"
    mount -t proc proc "$0/proc"
    mount --rbind /dev "$0/dev"
    cd "$0"
    mkdir -p .host
    pivot_root . .host
    umount -l /.host
    cd /opt/verl_resrl
    exec python3 -m pytest "$@"' "$tree" "${TESTS[@]}"
