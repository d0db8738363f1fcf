"""Compile the kernels for a GPU that need not be there, and print a word for each.

`test_kernels.py` runs this file in a process of its own. The interpreter knows no types: what it
runs may yet be refused by the compiler.
"""

from __future__ import annotations

from typing import Any

import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.compiler import compile as build

from caffe_layers.kernels.programs import axpy, selection

TARGET = GPUTarget("cuda", 90, 32)
TILE = dict.fromkeys(("rows", "size", "row_stride", "step", "chunk"), "i32")
TYPES = {"bf16": (tl.float32, "*fp32"), "fp64": (tl.float64, "*fp64")}


def compiled(kernel: Any, signature: dict[str, Any], constants: dict[str, Any]) -> None:
    types = {**signature, **TILE, **dict.fromkeys(constants, "constexpr")}
    source = ASTSource(kernel, signature=types, constexprs=constants)
    cubin = build(source, target=TARGET, options={"enable_fp_fusion": False}).asm["cubin"]
    print("compiled" if cubin else "empty")


def main() -> None:
    for dtype, (sum_dtype, sums) in TYPES.items():
        pointer = f"*{dtype}"
        tile = {"ROWS": 8, "SIZE": 256, "SUM": sum_dtype}
        names = ("a", "x", "y", "top")
        compiled(axpy.forward_kernel, dict.fromkeys(names, pointer), tile)
        names = ("top_diff", "a", "x", "sums", "x_diff")
        signature = {**dict.fromkeys(names, pointer), "all_rows": "i32"}
        compiled(axpy.backward_kernel, signature, {**tile, "A_DIFF": True, "X_DIFF": True})
        for branches in (2,):
            tile["M"] = branches
            many = (pointer,) * branches
            signature = {"scores": pointer, "branches": many, "top": pointer, "channels": "i32"}
            compiled(selection.forward_kernel, signature, tile)
            signature = {
                "top_diff": pointer,
                "scores": pointer,
                "branches": many,
                "sums": sums,
                "branch_diffs": many,
                "all_rows": "i32",
                "channels": "i32",
            }
            for shared in (False, True):
                how = {"SCORES_DIFF": True, "SHARED": shared, "WANTED": (1 << branches) - 1}
                compiled(selection.backward_kernel, signature, {**tile, **how})
            how = {"SCORES_DIFF": False, "SHARED": False, "WANTED": 1}
            compiled(selection.backward_kernel, signature, {**tile, **how})
            signature = {"scores": pointer, "sums": sums, "scores_diff": pointer}
            signature |= dict.fromkeys(("parts", "all_rows", "channels"), "i32")
            compiled(selection.finish_kernel, signature, tile)


if __name__ == "__main__":
    main()
