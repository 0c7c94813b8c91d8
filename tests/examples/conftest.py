# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Puts quickstart, study and cluster on the import path: their modules import each other as scripts do."""

import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"
sys.path[:0] = [str(EXAMPLES / name) for name in ("study", "quickstart", "cluster")]
