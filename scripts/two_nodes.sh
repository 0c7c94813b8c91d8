#!/usr/bin/env bash
# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
# From a fresh clone, as root on Linux: three training steps on two nodes of Ray that a network connects, held against
# the same steps on one node; see --help for the knobs.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/setup_env.sh
source "$ROOT/scripts/setup_env.sh"

if [[ " $* " == *" --help "* || " $* " == *" -h "* ]]; then
    python=$(find_python)
    exec "$python" "$ROOT/scripts/two_nodes.py" --help
fi
setup_env cpu
exec "$PYTHON" "$ROOT/scripts/two_nodes.py" "$@"
