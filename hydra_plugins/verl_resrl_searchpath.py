# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Puts our config groups (+method=, +device=, +reward_manager=) on the search path of verl's own entry point.

``hydra_plugins`` is a namespace package that Hydra scans at start-up; it must not have an __init__.py.
"""

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin


class VerlResRLSearchPath(SearchPathPlugin):
    """Hydra calls this for every application, so it must stay cheap and only append."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append the folder of our config groups behind the application's own."""
        search_path.append(provider="verl_resrl", path="pkg://verl_resrl.integration.config")
