#!/usr/bin/env bash
# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
# From a fresh clone: 200 training steps on two ranks, with the memory of every process; see --help for the knobs.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/setup_env.sh
source "$ROOT/scripts/setup_env.sh"

if [[ " $* " == *" --help "* || " $* " == *" -h "* ]]; then
    python=$(find_python)
    exec "$python" "$ROOT/scripts/soak.py" --help
fi
setup_env cpu
exec "$PYTHON" "$ROOT/scripts/soak.py" "$@"
