# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Puts quickstart and study on the import path: their modules import each other as scripts do."""

import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"
sys.path[:0] = [str(EXAMPLES / "study"), str(EXAMPLES / "quickstart")]
