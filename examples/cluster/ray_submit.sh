#!/usr/bin/env bash
# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
# Start a run on a Ray cluster that is up: `ray job submit` of a run script, with the knobs of this shell.
#   RAY_API_SERVER_ADDRESS=http://HEAD:8265 NNODES=4 bash examples/cluster/ray_submit.sh examples/math/run_resrl_qwen3_8b.sh
# The repository, the data and OUT must be under the same paths on every node. Further arguments go to the run script.
# Without NO_WAIT=1 it follows the log; the job goes on when you stop watching.
set -euo pipefail

[[ $# -gt 0 && $1 != --help ]] || { sed -n '4,7s/^# //p' "$0"; exit 0; }
[[ -n ${RAY_API_SERVER_ADDRESS:-} ]] || { echo "error: set RAY_API_SERVER_ADDRESS, such as http://HEAD:8265" >&2; exit 1; }
[[ -f $1 ]] || { echo "error: no script $1" >&2; exit 1; }

# knobs go as environment variables of the job, arguments as one of them, so that no shell reads their quotes again
environment=$(python3 - "$(dirname "${BASH_SOURCE[0]}")/.." "$PWD" "${@:2}" <<'PYTHON'
import json
import os
import re
import shlex
import sys
from pathlib import Path

examples, folder, *arguments = sys.argv[1:]
scripts = "".join(path.read_text(encoding="utf-8") for path in Path(examples).rglob("*.sh"))
names = {"MODEL", "HF_HOME", "HF_HUB_OFFLINE", *re.findall(r'^: "\$\{([A-Z_]+):=', scripts, re.MULTILINE)}
knobs = {name: os.environ[name] for name in sorted(names) if os.environ.get(name)}
knobs["VERL_ARGS"] = " ".join([knobs.get("VERL_ARGS", ""), *map(shlex.quote, arguments)]).strip()
knobs["RUN_FROM"] = folder  # relative paths mean what they mean here
print(json.dumps({"env_vars": knobs}))
PYTHON
)
exec ray job submit ${NO_WAIT:+--no-wait} --runtime-env-json "$environment" -- \
    bash "$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/in_folder.sh" "$(cd "$(dirname "$1")" && pwd)/$(basename "$1")"
