#!/usr/bin/env bash
# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
# From a fresh clone to a trained model: installs what is missing, then runs quickstart.py. See --help for the knobs.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=scripts/setup_env.sh
source "$ROOT/scripts/setup_env.sh"

if [[ " $* " == *" --help "* || " $* " == *" -h "* ]]; then
    python=$(find_python)
    exec "$python" "$ROOT/examples/quickstart/knobs.py"
fi
extras=
if [[ ${START:-} == smollm2-135m ]]; then
    extras=pretrained
fi
setup_for_device "$extras"
# one process from here on, so that a signal to this script reaches the run
exec "$PYTHON" "$ROOT/examples/quickstart/quickstart.py" "$@"
