# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""``resrl doctor``: looks at an installation and says what to do about each failure.

``versions``, ``stack``, ``gpu`` -> ``registration`` (this process) -> ``ray_worker`` (another one) -> ``computation``
(the weights, and on a GPU the kernel); ``checkup`` runs them, ``command`` prints what they found.
"""
