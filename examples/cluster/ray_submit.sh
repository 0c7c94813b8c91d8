#!/usr/bin/env bash
# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
# Start a run on a Ray cluster that is up: a Ray job of a run script, with the knobs of this shell.
#   RAY_API_SERVER_ADDRESS=http://HEAD:8265 NNODES=4 bash examples/cluster/ray_submit.sh examples/math/run_resrl_qwen3_8b.sh
# The repository, the data and OUT must be under the same paths on every node; secrets such as HF_TOKEN and WANDB_API_KEY
# are not sent, so Ray must have been started with them. Further arguments go to the run script.
# It follows the log and ends with the exit code of the run; with NO_WAIT=1 it does not wait. Ctrl-C stops watching, not
# the job. NNODES machines with GPUS_PER_NODE must be there; WAIT_FOR_NODES=1 where an autoscaler adds them. PYTHON is one
# that has Ray, by default python3.
set -euo pipefail

[[ $# -gt 0 && $1 != --help ]] || { sed -n '4,10s/^# //p' "$0"; exit 0; }
[[ -n ${RAY_API_SERVER_ADDRESS:-} ]] || { echo "error: set RAY_API_SERVER_ADDRESS, such as http://HEAD:8265" >&2; exit 1; }
[[ -f $1 ]] || { echo "error: no script $1" >&2; exit 1; }
exec "${PYTHON:-python3}" "$(dirname "${BASH_SOURCE[0]}")/submit.py" "$@"
