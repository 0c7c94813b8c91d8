#!/usr/bin/env bash
# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
# The study: many short trainings, their evaluations, and the report. Installs what is missing. See --help for the knobs.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=scripts/setup_env.sh
source "$ROOT/scripts/setup_env.sh"

if [[ " $* " == *" --help "* || " $* " == *" -h "* ]]; then
    python=$(find_python)
    exec "$python" "$ROOT/examples/study/study_settings.py"
fi
extras=eval
[[ ${SIZE:-} != 135m && ${START:-} != smollm2-135m ]] || extras=eval,pretrained
setup_for_device "$extras"
# one process from here on, so that a signal to this script reaches the run
exec "$PYTHON" "$ROOT/examples/study/study.py" "$@"
