# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Entry point: verl loads this module in every process that imports verl (entry point group ``verl.plugins``).

Nothing heavy happens here. The engine registers itself when the configuration of a ResRL run names it
(``fsdp_config._target_``), so that runs without ResRL never import it.
"""

import logging
import os

try:
    import verl_resrl.cpu.platform
    import verl_resrl.integration.estimators  # importing a module registers what is in it

    if os.environ.get("VERL_PLATFORM", "").strip().lower() == "cpu":
        import verl_resrl.cpu.backend  # noqa: F401
except Exception:
    # verl logs the exception of a plugin at DEBUG level and goes on without it: say it where people look
    logging.getLogger(__name__).error(
        "verl_resrl could not be loaded in process %d: its methods are NOT available. "
        "Fix the error below, or set VERL_USE_EXTERNAL_PLUGINS=none to run verl without plugins.",
        os.getpid(),
        exc_info=True,
    )
    raise
