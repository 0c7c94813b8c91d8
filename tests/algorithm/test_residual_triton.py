# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The fused kernel against float64: in Triton's interpreter where there is no GPU, else on the GPU.

And compiled ahead of time for the GPUs it was shaped for, which needs none.
"""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from verl_resrl import ResRLConfig, token_weights
from verl_resrl.algorithm.residual import choose_backend, group_by_group, residual_and_alignment
from verl_resrl.algorithm.subspace import Subspaces, fit_subspaces

triton = pytest.importorskip("triton", reason="Triton has no build for this platform")
launch_configs = importlib.import_module("verl_resrl.algorithm.residual_triton").launch_configs
GPU = torch.cuda.is_available()
DEVICES = [
    pytest.param("cpu", marks=pytest.mark.skipif(GPU, reason="the kernel itself runs here, not its interpreter")),
    pytest.param("cuda", marks=pytest.mark.gpu),
]


def exact(hidden: Tensor, rows: Tensor, counts: Tensor, subspaces: Subspaces) -> tuple[Tensor, Tensor]:
    """Residual and alignment in float64 from the formulas, with V and mu as given."""
    x = hidden[rows].double()
    x = x - x.mean(1, keepdim=True)
    x = x / (x.square().mean(1, keepdim=True) + 1e-5).sqrt()
    group = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)
    x = x - subspaces.centroid.double()[group]
    basis = subspaces.basis.double()[group]
    inside = torch.einsum("nd,ndk->nk", x, basis)
    outside = x - torch.einsum("nk,ndk->nd", inside, basis)
    return outside.square().mean(1), inside.square().sum(1)


def subspaces_of(hidden: Tensor, num_groups: int, rank: int) -> Subspaces:
    """Subspaces of the tokens' first, second, ... equal parts."""
    size = len(hidden) // num_groups
    rows = torch.arange(num_groups * size, device=hidden.device)
    return fit_subspaces(hidden, rows, torch.full((num_groups,), size, device=hidden.device), rank).subspaces


def random_states(tokens: int, d: int, device: str, seed: int = 0) -> Tensor:
    """bfloat16 states with a power-law spectrum and a common mean, as language models have them."""
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(d, d, generator=generator) * torch.arange(1, d + 1)[:, None] ** -0.7
    states = torch.randn(tokens, d, generator=generator) @ directions + torch.randn(d, generator=generator)
    return states.bfloat16().to(device)


def assert_close_to_exact(
    hidden: Tensor, rows: Tensor, counts: Tensor, subspaces: Subspaces, residual: float, alignment: float
) -> None:
    """Hold the kernel's results to relative errors."""
    e, a = residual_and_alignment(hidden, rows, counts, subspaces, "triton")
    exact_e, exact_a = exact(hidden, rows, counts, subspaces)
    torch.testing.assert_close(e.double(), exact_e, rtol=residual, atol=0)
    torch.testing.assert_close(a.double(), exact_a, rtol=alignment, atol=1e-6)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("d", "rank", "counts"),
    [
        (64, 1, [5]),
        (64, 16, [1]),  # one token
        (65, 7, [0, 33, 0, 0, 31, 0]),  # empty groups at both ends
        (100, 20, [130, 1, 200]),  # more than a tile, narrow loads
        (256, 64, [128, 129, 127]),  # around a tile
        (288, 128, [70, 3]),
        (1000, 33, [40]),
    ],
)
def test_any_shape(device: str, d: int, rank: int, counts: list[int]) -> None:
    half = len(counts) * 210  # the first half spans the subspaces
    hidden = random_states(2 * half, d, device)
    sizes = torch.tensor(counts, device=device)
    rows = half + torch.randperm(half, generator=torch.Generator().manual_seed(1))[: sum(counts)].to(device)
    assert_close_to_exact(hidden, rows, sizes, subspaces_of(hidden[:half], len(counts), rank), 1e-4, 1e-4)


@pytest.mark.parametrize("device", DEVICES)
def test_largest_hidden_size(device: str) -> None:
    hidden = torch.randn(60, 8192, generator=torch.Generator().manual_seed(0)).bfloat16().to(device)
    counts = torch.tensor([20, 30], device=device)
    assert_close_to_exact(hidden, torch.arange(50, device=device), counts, subspaces_of(hidden, 2, 8), 1e-4, 1e-4)


@pytest.mark.parametrize("device", DEVICES)
def test_rows_of_a_wider_matrix(device: str) -> None:
    wide = random_states(100, 320, device)
    hidden = wide[:, 32:288]
    counts = torch.tensor([60], device=device)
    assert_close_to_exact(hidden, torch.arange(60, device=device), counts, subspaces_of(hidden, 1, 12), 1e-4, 1e-4)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("scale", "tolerance"), [(100, 1e-4), (1000, 1e-3), (10000, 2e-2)])
def test_massive_dimensions(device: str, scale: float, tolerance: float) -> None:
    """Three dimensions of nearly constant value, thousands of times larger than the rest."""
    hidden = random_states(300, 256, device).float()
    hidden[:, [3, 77, 140]] = (hidden[:, [3, 77, 140]] + 20) * scale
    hidden = hidden.bfloat16()
    counts = torch.tensor([100, 50], device=device)
    assert_close_to_exact(
        hidden, torch.arange(150, device=device), counts, subspaces_of(hidden, 2, 16), tolerance, 1e-3
    )


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("scale", [100, 1000])
def test_massive_dimensions_of_any_sign(device: str, scale: float) -> None:
    hidden = random_states(300, 256, device).float()
    hidden[:, [3, 77, 140]] *= scale
    hidden = hidden.bfloat16()
    counts = torch.tensor([100, 50], device=device)
    assert_close_to_exact(hidden, torch.arange(150, device=device), counts, subspaces_of(hidden, 2, 16), 1e-3, 1e-4)


@pytest.mark.parametrize("device", DEVICES)
def test_tokens_almost_inside_the_subspace(device: str) -> None:
    """Every other token leaves it by a hundredth of its length: the weights barely notice the rounding."""
    generator = torch.Generator().manual_seed(0)
    plane = torch.randn(12, 128, generator=generator)
    hidden = torch.randn(400, 12, generator=generator) @ plane
    hidden += torch.randn(400, 128, generator=generator) * torch.tensor([0.03, 1.0]).repeat(200)[:, None]
    hidden = hidden.bfloat16().to(device)
    sequences = torch.tensor([0, 1], device=device).repeat_interleave(200)
    arguments = (hidden, sequences, torch.zeros(2, dtype=torch.int64, device=device))
    positive = torch.tensor([True, False], device=device)
    config = ResRLConfig(rank=12)
    fused, plain = (token_weights(*arguments, positive, config, backend=name) for name in ("triton", "torch"))
    torch.testing.assert_close(fused.weights, plain.weights, rtol=0, atol=1e-4)
    assert fused.weights[200:].std() > 0.3


@pytest.mark.parametrize("device", DEVICES)
def test_tokens_inside_the_subspace_have_no_residual(device: str) -> None:
    hidden = random_states(40, 64, device)
    rows, counts = torch.arange(40, device=device), torch.tensor([40], device=device)
    e, _ = residual_and_alignment(hidden, rows, counts, fit_subspaces(hidden, rows, counts, 64).subspaces, "triton")
    assert torch.equal(e, torch.zeros_like(e))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("scale", [1e-20, 1e-3, 1e6, 1e15])
def test_tiny_and_huge_norms(device: str, scale: float) -> None:
    hidden = (random_states(120, 96, device).float() * scale).bfloat16()
    subspaces = subspaces_of(random_states(120, 96, device, seed=1), 1, 9)
    counts = torch.tensor([120], device=device)
    assert_close_to_exact(hidden, torch.arange(120, device=device), counts, subspaces, 1e-4, 1e-4)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("value", [0.0, 1.0, -3e4])
def test_constant_rows(device: str, value: float) -> None:
    """LayerNorm makes them 0: what is left is the centroid."""
    hidden = random_states(60, 96, device)
    hidden[10:20] = value
    rows, counts = torch.arange(60, device=device), torch.tensor([60], device=device)
    assert_close_to_exact(hidden, rows, counts, subspaces_of(random_states(60, 96, device), 1, 9), 1e-4, 1e-4)


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("device", DEVICES)
def test_non_finite_states_are_seen(device: str) -> None:
    for value in (torch.nan, torch.inf):
        hidden = random_states(60, 96, device)
        subspaces = subspaces_of(hidden, 1, 9)
        hidden[5, 7] = value
        rows, counts = torch.arange(60, device=device), torch.tensor([60], device=device)
        e, _ = residual_and_alignment(hidden, rows, counts, subspaces, "triton")
        assert (~torch.isfinite(e)).nonzero().flatten().tolist() == [5]


@pytest.mark.parametrize("device", DEVICES)
def test_weights_of_both_backends_agree(device: str) -> None:
    hidden = random_states(600, 128, device)
    sequences = torch.arange(6, device=device).repeat_interleave(100)
    groups = torch.tensor([0, 0, 0, 1, 1, 1], device=device)
    positive = torch.tensor([1, 0, 0, 1, 1, 0], device=device).bool()
    fused, plain = (
        token_weights(hidden, sequences, groups, positive, ResRLConfig(rank=16), backend=name)
        for name in ("triton", "torch")
    )
    torch.testing.assert_close(fused.weights, plain.weights, rtol=0, atol=1e-3)


@pytest.mark.gpu
def test_one_compilation_serves_any_number_of_tokens_and_groups() -> None:
    kernel_module = importlib.import_module("verl_resrl.algorithm.residual_triton")
    hidden = random_states(5000, 256, "cuda")
    compiled = set()
    for _ in range(2):  # a second shape may be compiled where the first one spills registers
        rows, counts = torch.arange(40, device="cuda"), torch.tensor([40], device="cuda")
        kernel_module.residual_and_alignment(hidden, rows, counts, subspaces_of(hidden, 1, 16))
    for groups, tokens in ((1, 40), (3, 1000), (17, 4096), (64, 33)):
        counts = torch.full((groups,), tokens // groups, device="cuda")
        rows = torch.arange(int(counts.sum()), device="cuda")
        kernel_module.residual_and_alignment(hidden, rows, counts, subspaces_of(hidden, groups, 16))
        compiled.add(sum(len(cache[0]) for cache in kernel_module.residual_kernel.device_caches.values()))
    assert len(compiled) == 1


@pytest.mark.gpu
def test_nothing_waits_for_the_device() -> None:
    kernel_module = importlib.import_module("verl_resrl.algorithm.residual_triton")
    hidden = random_states(500, 256, "cuda")
    subspaces = subspaces_of(hidden, 2, 16)
    rows, counts = torch.arange(400, device="cuda"), torch.tensor([150, 250], device="cuda")
    kernel_module.residual_and_alignment(hidden, rows, counts, subspaces)  # compiles
    torch.cuda.set_sync_debug_mode("error")
    try:
        kernel_module.residual_and_alignment(hidden, rows, counts, subspaces)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("device", DEVICES)
def test_a_rank_without_any_group_gets_nothing(device: str) -> None:
    hidden, nothing = random_states(4, 96, device), torch.zeros(0, dtype=torch.int64, device=device)
    subspaces = fit_subspaces(hidden, nothing, nothing, 8).subspaces
    e, a = residual_and_alignment(hidden, nothing, nothing, subspaces, "triton")
    assert e.shape == a.shape == (0,)


@pytest.mark.parametrize("device", DEVICES)
def test_states_in_host_memory_pass_group_by_group(device: str) -> None:
    compute = importlib.import_module("verl_resrl.algorithm.residual_triton").residual_and_alignment
    hidden, counts = random_states(120, 96, device), torch.tensor([7, 0, 33, 1], device=device)
    subspaces = subspaces_of(hidden, 4, 8)
    rows = torch.randperm(120, generator=torch.Generator().manual_seed(0))[: int(counts.sum())].to(device)
    for part, whole in zip(
        group_by_group(compute, hidden, rows, counts, subspaces),
        compute(hidden, rows, counts, subspaces),
        strict=True,
    ):
        assert torch.equal(part, whole)


# -- the choice of a backend ---------------------------------------------------------------------------------------


def test_auto_is_torch_on_a_cpu() -> None:
    assert choose_backend("auto", torch.bfloat16, torch.device("cpu"), 64) == "torch"


@pytest.mark.gpu
def test_auto_is_triton_for_bfloat16_on_a_gpu() -> None:
    gpu = torch.device("cuda")
    assert choose_backend("auto", torch.bfloat16, gpu, 64) == "triton"
    assert choose_backend("auto", torch.float32, gpu, 64) == "torch"
    assert choose_backend("auto", torch.bfloat16, gpu, 129) == "torch"


@pytest.mark.parametrize(
    ("dtype", "rank", "message"),
    [
        (torch.float32, 64, r"needs bfloat16 hidden states, not torch.float32"),
        (torch.bfloat16, 129, r"needs rank <= 128, not 129"),
    ],
)
def test_triton_says_why_it_cannot_run(dtype: torch.dtype, rank: int, message: str) -> None:
    with pytest.raises(ValueError, match=f"^ResRL: backend='triton' {message}; use backend='torch', or 'auto'"):
        choose_backend("triton", dtype, torch.device("cuda" if GPU else "cpu"), rank)


def test_triton_needs_a_gpu_or_the_interpreter() -> None:
    with triton.knobs.runtime.scope():
        triton.knobs.runtime.interpret = False
        with pytest.raises(ValueError, match=r"needs a CUDA or ROCm GPU \(or TRITON_INTERPRET=1\), and .* on cpu"):
            choose_backend("triton", torch.bfloat16, torch.device("cpu"), 64)


# -- compiled ahead of time ----------------------------------------------------------------------------------------

REGISTERS_OF_A_MULTIPROCESSOR = 65536
# of a multiprocessor, in the table of compute capabilities of the CUDA C++ programming guide
SHARED_MEMORY = {80: 164 * 1024, 90: 228 * 1024, 100: 228 * 1024}
RESERVED = 1024  # bytes of shared memory that the system takes of each program


@pytest.mark.parametrize("capability", SHARED_MEMORY)
def test_two_programs_share_a_multiprocessor(capability: int) -> None:
    """Compiled in a process of its own: this one may have Triton as an interpreter."""
    command = [sys.executable, str(Path(__file__).with_name("compile_kernel.py")), str(capability)]
    environment = os.environ | {"TRITON_INTERPRET": "0"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    usages = [json.loads(line) for line in done.stdout.splitlines()]
    assert {usage["K"] for usage in usages} == {16, 32, 64, 128}
    for usage in usages:
        assert usage["stack"] == 0, usage
        assert 2 * usage["registers"] * usage["warps"] * 32 <= REGISTERS_OF_A_MULTIPROCESSOR, usage
        assert 2 * (usage["shared"] + RESERVED) <= SHARED_MEMORY[capability], usage
        if capability < 100 and usage["d"] % 16 == 0:  # there, no compiler needs the second choice
            assert usage["tokens"] == launch_configs(usage["K"], usage["d"])[0].tokens, usage


@pytest.mark.parametrize(
    ("spilling", "tiles"),
    [((), [128, 128, 128, 128]), ((128,), [128, 64, 64, 64]), ((32, 64, 128), [128, 64, 32, 32])],
)
def test_a_launch_that_spilled_registers_makes_the_next_take_a_smaller_tile(
    monkeypatch: pytest.MonkeyPatch, spilling: tuple[int, ...], tiles: list[int]
) -> None:
    """Triton says how many registers a kernel spilled once it is loaded: when it has been launched."""
    module = importlib.import_module("verl_resrl.algorithm.residual_triton")
    launched = []

    class Kernel:
        def __getitem__(self, grid: tuple[int]) -> Callable[..., SimpleNamespace]:
            return self.launch

        def launch(self, *_: Any, **options: Any) -> SimpleNamespace:
            launched.append(options["TOKENS"])
            return SimpleNamespace(n_spills=4 if options["TOKENS"] in spilling else 0)

    monkeypatch.setattr(module, "residual_kernel", Kernel())
    monkeypatch.setattr(module, "_next_shape", {})
    hidden = random_states(40, 256, "cpu")
    rows, counts, subspaces = torch.arange(40), torch.tensor([40]), subspaces_of(hidden, 1, 16)
    for _ in tiles:
        module.residual_and_alignment(hidden, rows, counts, subspaces)
    assert launched == tiles
