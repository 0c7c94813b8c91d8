#!/usr/bin/env bash
# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
# From a fresh clone, as root on Linux with SLURM and munge installed (Debian: slurm-wlm, munge): examples/cluster/
# slurm.sbatch on two nodes of a SLURM of its own; see --help for the knobs.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/setup_env.sh
source "$ROOT/scripts/setup_env.sh"

if [[ " $* " == *" --help "* || " $* " == *" -h "* ]]; then
    python=$(find_python)
    exec "$python" "$ROOT/scripts/slurm_nodes.py" --help
fi
setup_env cpu
export PATH=${PYTHON%/*}:$PATH # where slurm.sbatch finds Ray
exec "$PYTHON" "$ROOT/scripts/slurm_nodes.py" "$@"
