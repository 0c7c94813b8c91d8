# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""What the token weights cost and how exact they are, against the eager method.

``cases`` lists what there is to measure for the ``questions``: ``token_weights_cost`` (end to end, and how it grows),
``interference_cost``, ``residual_bandwidth``, ``training_step`` and ``exchange_cost``. They make synthetic ``inputs``,
call the package, the ``eager`` method and the ``exact`` one, and ``measure`` time and memory. What comes out,
``record.Measurement``, is written by ``csv_file``, printed by ``table`` and drawn by ``plots``. ``run`` goes through it
all; ``scripts/benchmark.py`` is the command.
"""
