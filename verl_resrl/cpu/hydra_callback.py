# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Hydra callback of ``+device=cpu``: verl's main process has looked for a GPU before its configuration is read."""

import os
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from verl.plugin.platform.platform_manager import set_platform

from verl_resrl.cpu.platform import CPUPlatform


class SelectCPU(Callback):
    """Make the CPU the platform of this process; its children learn it from VERL_PLATFORM."""

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Called by Hydra after composing the configuration and before verl's main function."""
        set_platform(CPUPlatform())
        # hides CUDA from this process and from Ray's workers, each of which gets one of these; with an empty list, Ray
        # would refuse to count GPUs that stand for processes
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(["-1"] * config.ray_kwargs.ray_init.num_gpus)
