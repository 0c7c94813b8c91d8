#!/usr/bin/env bash
# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
# From a fresh clone, as root on Linux: what becomes of a training on two nodes of Ray when one of them dies, or the
# network between them is cut or slow; see --help for the knobs.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/setup_env.sh
source "$ROOT/scripts/setup_env.sh"

if [[ " $* " == *" --help "* || " $* " == *" -h "* ]]; then
    python=$(find_python)
    exec "$python" "$ROOT/scripts/node_faults.py" --help
fi
setup_env cpu
exec "$PYTHON" "$ROOT/scripts/node_faults.py" "$@"
