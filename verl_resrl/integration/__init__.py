# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""ResRL inside verl: the only folder, beside ``verl_resrl.cpu``, that imports verl.

Kept empty: verl loads ``plugin`` in the middle of its own import, and a package that imported verl from here would be
found half imported.
"""
