# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""verl on a machine without an accelerator: for laptops and CI, selected with ``+device=cpu``.

Kept empty: a worker process that unpickles an actor of this package must not import verl from here, half way through
verl's own import.
"""
