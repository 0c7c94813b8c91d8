# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""Compile the residual kernel for a GPU that need not be there: ``python compile_kernel.py 90``.

Prints a line of JSON for every shape of launch that a GPU would settle on: registers, stack and shared memory, as the
compiler's tools report.
"""

import json
import re
import subprocess
import sys
import tempfile
from dataclasses import asdict

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from verl_resrl.algorithm.residual_triton import LaunchConfig, launch_configs, residual_kernel

# (d, K): whole and partial steps through d, wide and narrow loads
SHAPES = [(d, columns) for d in (100, 2560) for columns in (16, 32, 64, 128)]
SHAPES += [(d, columns) for d in (2576, 8192) for columns in (64, 128)]


def settled(capability: int, d: int, columns: int) -> dict[str, int]:
    """What the kernel needs in the first shape that spills no registers, else in the last."""
    for shape in launch_configs(columns, d):
        found = usage(capability, d, columns, shape)
        if found["stack"] == 0:
            break
    return found


def usage(capability: int, d: int, columns: int, shape: LaunchConfig) -> dict[str, int]:
    """Compile one shape."""
    names = residual_kernel.arg_names
    constants = {
        "D": d,
        "PADDED": -(-d // shape.dims) * shape.dims,
        "K": columns,
        "TOKENS": shape.tokens,
        "DIMS": shape.dims,
        "INTERPRETED": False,
    }
    types = dict.fromkeys(names, "*fp32") | dict.fromkeys(constants, "constexpr")
    types |= {"hidden": "*bf16", "basis": "*bf16", "rows": "*i64", "last_row": "*i64", "massive": "*i32"}
    types |= {"group_of_tile": "*i32", "last_tile": "*i32", "stride": "i32", "num_groups": "i32", "eps": "fp32"}
    # what the launcher tells the compiler: pointers are aligned, and so are rows if the hidden size is
    aligned = [name for name in names if types[name].startswith("*")] + ["stride"] * (d % 16 == 0)
    source = ASTSource(
        fn=residual_kernel,
        signature={name: types[name] for name in names},
        constexprs={(names.index(name),): value for name, value in constants.items()},
        attrs={(names.index(name),): [["tt.divisibility", 16]] for name in aligned},
    )
    options = {"num_warps": shape.warps, "num_stages": shape.stages, "enable_fp_fusion": True}
    if shape.max_registers is not None:
        options["maxnreg"] = shape.max_registers
    program = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(program.asm["cubin"])
        file.flush()
        command = [triton.knobs.nvidia.cuobjdump.path, "-res-usage", file.name]
        report = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(r"REG:(\d+) STACK:(\d+)", report.stdout + report.stderr)
    assert found is not None, report
    result = {"registers": int(found[1]), "stack": int(found[2]), "shared": program.metadata.shared}
    return {"d": d, "K": columns} | asdict(shape) | result


if __name__ == "__main__":
    for d, columns in SHAPES:
        print(json.dumps(settled(int(sys.argv[1]), d, columns)), flush=True)
