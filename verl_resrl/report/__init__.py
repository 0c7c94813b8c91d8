# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Compares trainings: run folders -> tables -> statistics -> figures -> one HTML page. Nothing here imports verl.

The modules in this order: ``run_folders``, ``samples`` and ``token_weights_file`` read; ``tables`` and
``differing_settings`` arrange; ``results``, ``paired`` and ``matched`` compare; ``evaluation_charts``, ``training_charts`` and
``images`` draw in the styles of ``styles``; ``comparison`` collects, ``page`` renders, ``write`` goes
the whole way, and ``command`` is ``resrl compare``.
"""
