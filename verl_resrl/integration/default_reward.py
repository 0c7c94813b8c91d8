# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""verl's own reward function, which chooses by data source: for ``resrl eval``, which does not import verl itself."""

from verl.utils.reward_score import default_compute_score

__all__ = ["default_compute_score"]
