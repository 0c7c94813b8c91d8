# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Machines to install on that are not there: stand-ins for nvidia-smi and for an environment's Python with pip."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
GPU = "GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-5a2d7c6e)"
HEADER = "| NVIDIA-SMI 580.95.05   Driver Version: 580.95.05   CUDA Version: {cuda}   |"

# What setup asks an environment's Python for. Every pip command is noted; the folder's files say what goes wrong.
PYTHON = """#!/usr/bin/env bash
here=$(dirname "$0")/..
case "$*" in
    "-m pip --version") echo "pip $(cat "$here/pip-version" 2>/dev/null || echo 24.0) from somewhere" ;;
    "-m pip "*)
        echo "${*:3}" >>"$here/pip-commands"
        while IFS='|' read -r command output; do
            if [[ $* == *"$command"* ]]; then echo -e "$output"; exit 1; fi
        done <"$here/failures"
        ;;
    "-c import sys;"*) exit 0 ;;
    "-c from importlib"*) cat "$here/torch-version" 2>/dev/null ;;
    "-c import torch") [[ -f $here/torch-version ]] ;;
    "-c import flash_attn") [[ -f $here/flash-attn ]] ;;
    "-") cat "$here/cuda" 2>/dev/null || echo usable ;;
esac
"""


def add_command(folder: Path, name: str, text: str) -> None:
    """Put an executable script into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


def add_nvidia_smi(folder: Path, cuda: str = "13.0", listed: str = GPU) -> None:
    """Put an nvidia-smi into a folder: what it lists, and the CUDA version that its driver supports."""
    lines = f'if [[ "$*" == -L ]]; then echo "{listed}"; else echo "{HEADER.format(cuda=cuda)}"; fi'
    add_command(folder, "nvidia-smi", f"#!/usr/bin/env bash\n{lines}\n")


class Machine:
    """A machine with an environment of stand-ins.

    Args:
        folder: where to make it.
        failures: part of a pip command -> what pip prints when it fails with it.
    """

    def __init__(self, folder: Path, failures: dict[str, str] | None = None) -> None:
        self.venv, self.commands = folder / "venv", folder / "commands"
        add_command(self.venv / "bin", "python", PYTHON)
        self.commands.mkdir()
        self.fail(failures or {})

    def fail(self, failures: dict[str, str]) -> None:
        """Choose what goes wrong from now on."""
        lines = [f"{command}|{output}\n" for command, output in failures.items()]
        (self.venv / "failures").write_text("".join(lines))

    def run(self, script: str, **knobs: str) -> subprocess.CompletedProcess[str]:
        """Run a few lines of bash that have sourced setup_env.sh."""
        own = {"PATH": f"{self.commands}:{os.environ['PATH']}", "HOME": os.environ["HOME"], "VENV": str(self.venv)}
        text = f"set -euo pipefail; source {ROOT}/scripts/setup_env.sh; {script}"
        return subprocess.run(["bash", "-c", text], env=own | knobs, capture_output=True, text=True, check=False)

    def pip_commands(self) -> list[str]:
        """What pip was asked to do, oldest first."""
        file = self.venv / "pip-commands"
        return file.read_text().splitlines() if file.exists() else []
