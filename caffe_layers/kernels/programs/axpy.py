"""The kernels of Axpy: `top = a * x + y`, and in one pass the gradients of a and of x."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from caffe_layers.kernels.layout import Tiling, alike, empty_alike
from caffe_layers.kernels.where import sum_dtype

from .tile import launch, program_tile


@triton.jit
def forward_kernel(
    a,
    x,
    y,
    top,
    rows,
    size,
    row_stride,
    step,
    chunk,
    ROWS: tl.constexpr,
    SIZE: tl.constexpr,
    SUM: tl.constexpr,
):
    base, inner, row, exists, begin, end, _ = program_tile(
        rows, size, row_stride, step, chunk, ROWS, SIZE
    )
    weight = tl.load(a + row, mask=exists, other=0).to(SUM)
    at = begin + tl.arange(0, SIZE)
    mask = exists[:, None] & (at < end)[None, :]
    base += begin * step
    product = weight[:, None] * tl.load(x + base + inner, mask=mask).to(SUM)
    value = product + tl.load(y + base + inner, mask=mask).to(SUM)
    tl.store(top + base + inner, value.to(top.dtype.element_ty), mask=mask)


@triton.jit
def backward_kernel(
    top_diff,
    a,
    x,
    sums,
    x_diff,
    all_rows,
    rows,
    size,
    row_stride,
    step,
    chunk,
    ROWS: tl.constexpr,
    SIZE: tl.constexpr,
    SUM: tl.constexpr,
    A_DIFF: tl.constexpr,
    X_DIFF: tl.constexpr,
):
    base, inner, row, exists, begin, end, part = program_tile(
        rows, size, row_stride, step, chunk, ROWS, SIZE
    )
    if X_DIFF:
        weight = tl.load(a + row, mask=exists, other=0).to(SUM)
    total = tl.zeros([ROWS, SIZE], SUM)
    for start in range(begin, end, SIZE):
        mask = exists[:, None] & (start + tl.arange(0, SIZE) < end)[None, :]
        here = base + start * step
        diff = tl.load(top_diff + here + inner, mask=mask, other=0).to(SUM)
        if A_DIFF:
            total += diff * tl.load(x + here + inner, mask=mask, other=0).to(SUM)
        if X_DIFF:
            value = (weight[:, None] * diff).to(x_diff.dtype.element_ty)
            tl.store(x_diff + here + inner, value, mask=mask)
    if A_DIFF:
        value = tl.sum(total, 1).to(sums.dtype.element_ty)
        tl.store(sums + part * all_rows + row, value, mask=exists)


def forward(a: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return `a * x + y` in the dtype and memory format of x."""
    top = empty_alike(x)
    x, y = alike((x, y), x)
    launch(forward_kernel, x, Tiling.of(x, sums=0), a.contiguous(), x, y, top)
    return top


def backward(
    top_diff: Tensor, a: Tensor, x: Tensor | None, a_diff: bool, x_diff: bool
) -> list[Tensor]:
    """Return the gradients that are asked for, of a and of x, from one pass over top_diff and x.

    Where few rows have many values, programs share a row, and a second, small step adds their
    sums: always in one order, so that the result is the same each time.
    """
    x = top_diff if x is None else x
    out = empty_alike(x) if x_diff else top_diff  # a pointer that is not used must be one
    x, top_diff = alike((x, top_diff), x)
    tiling = Tiling.of(x, sums=int(a_diff))
    shared = a_diff and tiling.splits > 1
    sums = a.new_zeros(a.shape) if not x.numel() else a.new_empty(a.shape)
    partial = a.new_empty((tiling.splits, a.numel()), dtype=sum_dtype(x.dtype)) if shared else sums
    launch(
        backward_kernel,
        x,
        tiling,
        top_diff,
        a.contiguous(),
        x,
        partial,
        out,
        a.numel(),
        A_DIFF=a_diff,
        X_DIFF=x_diff,
    )
    if shared:
        sums = partial.sum(0).to(a.dtype).reshape(a.shape)
    return [*([sums] if a_diff else []), *([out] if x_diff else [])]
