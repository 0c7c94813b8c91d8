#!/usr/bin/env bash
# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
# From a fresh clone: install what the tests need and run all that this machine can; arguments go to pytest.
#   bash scripts/test.sh                  all but what is marked long; what is marked gpu is skipped where there is none
#   bash scripts/test.sh -m ""            with the long ones: more trainings, a killed worker, an asynchronous trainer, an agent
#   bash scripts/test.sh -m "not e2e"     without the runs of verl's trainer
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/setup_env.sh
source "$ROOT/scripts/setup_env.sh"

setup_for_device test
# the report's page is tested in a browser; where none can be installed, that test is skipped and says what it needs
if ! command -v chromedriver >/dev/null && command -v apt-get >/dev/null && [[ $(id -u) == 0 ]]; then
    export DEBIAN_FRONTEND=noninteractive
    { timeout 300 apt-get update && timeout 300 apt-get install -y --no-install-recommends chromium chromium-driver; } \
        >/dev/null 2>&1 || echo "setup: chromium and chromium-driver could not be installed with apt-get" >&2
fi
cd "$ROOT"
if [[ " $* " != *" -m "* ]]; then
    set -- -m "not long" "$@"
fi
exec "$PYTHON" -m pytest "$@"
