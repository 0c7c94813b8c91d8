# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Public data sets in verl's format: ``sources`` -> ``convert`` (rows) -> ``prepare`` (files)."""
