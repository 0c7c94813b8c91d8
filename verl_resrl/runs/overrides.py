# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Values on verl's command line."""

from pathlib import Path


def quoted(value: Path | str) -> str:
    """Text as a value of Hydra's override grammar, whatever characters it has.

    Args:
        value: a path, or any text.
    """
    return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"
