"""What the kernels have in common: the tile of a program, and how a kernel is launched."""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from caffe_layers.kernels.layout import Tiling
from caffe_layers.kernels.where import sum_dtype

SUM_DTYPES = {torch.float32: tl.float32, torch.float64: tl.float64}


@triton.jit
def program_tile(rows, size, row_stride, step, chunk, ROWS: tl.constexpr, SIZE: tl.constexpr):
    """Return what a program works on.

    * the offset of its first value, in 64 bits: all others are near it
    * the offsets of a tile's values from there
    * its rows' numbers among all rows, and which of them exist
    * where its part of the rows begins and ends, and the part's number
    """
    splits = tl.cdiv(size, chunk)
    blocks = tl.cdiv(rows, ROWS)
    part = tl.program_id(0) % splits
    block = tl.program_id(0) // splits
    group = (block // blocks).to(tl.int64)
    row = (block % blocks).to(tl.int64) * ROWS
    in_tile = tl.arange(0, ROWS)
    begin = part.to(tl.int64) * chunk
    end = tl.minimum(begin + chunk, size)
    base = group * rows * size + row * row_stride
    inner = in_tile[:, None] * row_stride + tl.arange(0, SIZE)[None, :] * step
    return base, inner, group * rows + row + in_tile, row + in_tile < rows, begin, end, part


def launch(kernel: Any, x: Tensor, tiling: Tiling, *arguments: Any, **constants: int) -> None:
    """Launch a kernel on x's device: its arguments, and then those of `program_tile`."""
    layout = tiling.layout
    if not x.numel():
        return
    with torch.cuda.device_of(x):
        kernel[(tiling.programs,)](
            *arguments,
            layout.rows,
            layout.size,
            layout.row_stride,
            layout.step,
            tiling.chunk,
            ROWS=tiling.rows,
            SIZE=tiling.size,
            SUM=SUM_DTYPES[sum_dtype(x.dtype)],
            # Products are rounded before they are added, as torch rounds them.
            enable_fp_fusion=False,
            **constants,
        )
