#!/usr/bin/env bash
# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
# From a fresh clone: install what the benchmark needs and run it; arguments go to benchmark.py.
#   bash scripts/benchmark.sh           everything that this machine can measure
#   bash scripts/benchmark.sh --help    what that is, and where the results go
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/setup_env.sh
source "$ROOT/scripts/setup_env.sh"

if [[ " $* " == *" --help "* || " $* " == *" -h "* ]]; then
    python=$(find_python)
    exec "$python" "$ROOT/scripts/benchmark.py" --help
fi
setup_for_device benchmark
exec "$PYTHON" "$ROOT/scripts/benchmark.py" "$@"
