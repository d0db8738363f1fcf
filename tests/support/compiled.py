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
TILE = ("rows", "size", "row_stride", "step", "chunk")
SIZES = (*TILE, "all_rows", "channels")
KINDS = (("i32", ()), ("i64", ()), ("i32", ("step",)), ("i32", SIZES))
"""Types of sizes, and which are 1: that is a constant to Triton, another thing in a kernel."""
M = 2


def compiled(kernel: Any, types: dict[str, Any], constants: dict[str, Any], kinds: Any) -> None:
    """Compile a kernel for each kind of sizes."""
    sizes = [name for name in SIZES if name in {*types, *TILE}]
    for kind, ones in kinds:
        known = {**constants, **{name: 1 for name in sizes if name in ones}}
        given = {**types, **dict.fromkeys(sizes, kind), **dict.fromkeys(known, "constexpr")}
        source = ASTSource(kernel, signature=given, constexprs=known)
        cubin = build(source, target=TARGET, options={"enable_fp_fusion": False}).asm["cubin"]
        print("compiled" if cubin else "empty")


def compile_all(dtype: str, sum_dtype: Any, sums: str, kinds: Any) -> None:
    """Compile all kernels for tensors of one dtype."""
    one, many = f"*{dtype}", (f"*{dtype}",) * M
    tile = {"ROWS": 8, "SIZE": 256, "SUM": sum_dtype}
    types: dict[str, Any] = dict.fromkeys(("a", "x", "y", "top"), one)
    compiled(axpy.forward_kernel, types, tile, kinds)
    types = {**dict.fromkeys(("top_diff", "a", "x", "sums", "x_diff"), one), "all_rows": "i32"}
    compiled(axpy.backward_kernel, types, {**tile, "A_DIFF": True, "X_DIFF": True}, kinds)
    tile["M"] = M
    types = {"scores": one, "branches": many, "top": one, "channels": "i32"}
    compiled(selection.forward_kernel, types, tile, kinds)
    types = {"top_diff": one, "scores": one, "branches": many, "sums": sums, "branch_diffs": many}
    types |= {"all_rows": "i32", "channels": "i32"}
    for scores_diff, shared, wanted in ((True, False, 3), (True, True, 3), (False, False, 1)):
        how = {"SCORES_DIFF": scores_diff, "SHARED": shared, "WANTED": wanted}
        compiled(selection.backward_kernel, types, {**tile, **how}, kinds)
    types = {"scores": one, "sums": sums, "scores_diff": one}
    types |= dict.fromkeys(("parts", "all_rows", "channels"), "i32")
    compiled(selection.finish_kernel, types, tile, kinds)


if __name__ == "__main__":
    compile_all("bf16", tl.float32, "*fp32", KINDS)
    compile_all("fp64", tl.float64, "*fp64", KINDS[:1])
