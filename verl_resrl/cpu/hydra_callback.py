# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Hydra callback of ``+device=cpu`` and ``+device=cpu_cluster``: verl's main process has looked for a GPU before its
configuration is read.
"""

import os
import sys
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from verl.plugin.platform.platform_manager import set_platform

from verl_resrl.cpu.platform import CPUPlatform


class SelectCPU(Callback):
    """Make the CPU the platform of this process; its children learn it from VERL_PLATFORM."""

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Called by Hydra after composing the configuration and before verl's main function."""
        ray_init = config.ray_kwargs.ray_init
        cluster = os.environ.get("RAY_ADDRESS") or ray_init.get("address")
        if cluster not in (None, "local") and ray_init.num_gpus is not None:
            # Hydra turns exceptions of a callback into warnings
            print(
                f"error: +device=cpu starts a Ray of its own, and there is the cluster {cluster} (RAY_ADDRESS or "
                "ray_kwargs.ray_init.address): say +device=cpu_cluster to run on it, or unset that",
                file=sys.stderr,
                flush=True,
            )
            raise SystemExit(1)
        set_platform(CPUPlatform())
        # hides CUDA from this process and from the workers of a Ray that it starts, each of which gets one of these;
        # with an empty list, Ray would refuse to count GPUs that stand for processes
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(["-1"] * (ray_init.num_gpus or 1))
