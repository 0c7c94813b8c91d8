# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Agent loops for verl: conversations of many turns with simulated APIs and text environments."""
