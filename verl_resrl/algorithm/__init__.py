# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""ResRL itself: hidden states -> weights -> advantages. Imports no verl, Ray or vLLM.

The way of the data reads from the module names: ``sampling`` -> ``subspace`` -> ``residual`` -> ``weights`` ->
``advantage``.
"""
