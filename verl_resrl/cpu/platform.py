# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Platform "cpu" for verl: plain PyTorch on the CPU, gloo, and a Ray resource that stands for an accelerator.

Never detected by itself; ``+device=cpu`` (or VERL_PLATFORM=cpu) selects it.
"""

import contextlib
import types
from typing import Any

import torch
from verl.plugin.platform.platform_base import PlatformBase
from verl.plugin.platform.platform_manager import PlatformRegistry


def _accelerator_module() -> types.ModuleType:
    """``torch.cpu`` and what verl calls on an accelerator's module without asking whether it exists."""
    module = types.ModuleType("verl_resrl.cpu.torch_cpu", "torch.cpu with the memory functions of torch.cuda")
    module.__dict__.update({name: value for name, value in vars(torch.cpu).items() if not name.startswith("__")})
    for name in ("memory_allocated", "max_memory_allocated", "memory_reserved", "max_memory_reserved"):
        setattr(module, name, lambda *args, **kwargs: 0)
    for name in ("empty_cache", "reset_peak_memory_stats", "ipc_collect"):
        setattr(module, name, lambda *args, **kwargs: None)
    module.__dict__.update(
        mem_get_info=lambda *args, **kwargs: (0, 0),
        get_device_name=lambda *args, **kwargs: "cpu",
        get_rng_state=lambda *args, **kwargs: torch.get_rng_state(),
        set_rng_state=lambda state, *args, **kwargs: torch.set_rng_state(state),
        manual_seed=torch.manual_seed,
        manual_seed_all=torch.manual_seed,
    )
    return module


_MODULE = _accelerator_module()


@PlatformRegistry.register(platform="cpu")
class CPUPlatform(PlatformBase):
    """verl's device interface on a CPU; see ``PlatformBase`` for what each method means."""

    device_name = "cpu"  # type: ignore[assignment]
    vendor_name = "cpu"  # type: ignore[assignment]
    device_module = _MODULE  # type: ignore[assignment]

    def is_available(self) -> bool:
        return True

    def is_platform_available(self, use_smi_check: bool = False) -> bool:
        return False  # a GPU node's driver process has no accelerator either: do not take its place

    def current_device(self) -> Any:
        return "cpu"  # verl moves tensors to this

    def device_count(self) -> int:
        return 1

    def set_device(self, device_index: int) -> None:
        pass

    def synchronize(self, device_index: int | None = None) -> None:
        pass

    def manual_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    def manual_seed_all(self, seed: int) -> None:
        torch.manual_seed(seed)

    def set_allocator_settings(self, settings: str) -> None:
        pass

    def empty_cache(self) -> None:
        pass

    def get_device_capability(self, device_index: int = 0) -> tuple[int | None, int | None]:
        return None, None

    def communication_backend_name(self) -> str:
        return "gloo"

    def visible_devices_envvar(self) -> str:
        return "CUDA_VISIBLE_DEVICES"

    def nvtx_range(self, msg: str) -> Any:
        return contextlib.nullcontext()

    def profiler_start(self) -> None:
        pass

    def profiler_stop(self) -> None:
        pass

    def ray_resource_name(self) -> str:
        return "GPU"  # one logical unit per rank; Ray is started with as many as the run has ranks

    def ray_noset_envvars(self) -> list[str]:
        return []

    def is_ipc_supported(self) -> bool:
        return False

    def cudart(self) -> Any:
        return None
