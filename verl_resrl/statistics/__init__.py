# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Figures about samples of a model, such as Pass@k and its intervals: pure functions that several rooms share."""
