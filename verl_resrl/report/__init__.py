# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Compares trainings: run folders -> tables -> statistics -> figures -> one HTML page. Nothing here imports verl.

In the order of the data: ``run_folders``, ``samples`` and ``token_weights_file`` read; ``tables`` and
``differing_settings`` arrange; ``results``, ``paired`` and ``matched`` compare, ``comparison`` collects;
``evaluation_charts``, ``training_charts`` and ``images`` draw, in the styles of ``styles``; ``page`` renders; ``write``
goes the whole way, and ``command`` is ``resrl compare``.
"""
