# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Verifiable tasks: Countdown for demonstrations and tests; rewards, data and protocols of the benchmarks."""
