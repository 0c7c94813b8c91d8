# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""``resrl eval``: many responses to each problem, and what they say about a model.

The data flow: ``problems`` (parquet files) -> ``generate`` (responses) -> ``judge`` (scores and answers) ->
``samples`` (the file they are kept in, which survives a kill) -> ``summary``, and ``token_view`` on request.
``evaluate`` puts them together for one model, ``models`` finds the models of a training run, ``command`` is the
command line. The folder of an evaluation holds ``settings.json``, ``samples.jsonl``, ``summary.json`` and, on
request, ``tokens.jsonl``.
"""
