"""Downsample, from FlowNet2."""

from __future__ import annotations

from math import nan

import numpy as np
from torch import Tensor

from caffe_layers.arithmetic.linear_map import (
    Matrix,
    mapped,
    onnx_mapped,
    require_fixed_sizes,
    require_mappable,
)
from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError


class Downsample(
    Layer, type="Downsample", fork="flownet2", param="downsample_param", bottoms=(1, 2)
):
    """Resizing of N x C x H x W by a weighted mean, which leaves NaN out: unknown values.

    The top is `top_height` x `top_width`, or has the size of a second bottom, which gets no
    gradient. Corners stay at corners: column x lies at `x s`, `s = (W - 1) / (W' - 1)`, and a
    bottom's column at distance d weighs `max(0, 1 - d / s)`; alike the rows. Where NaN weighs more
    than half of what the others do, and where nothing weighs, the value is NaN. Of the same size
    the top is the bottom.

    Errors: ShapeError without a size, and for a top of one row or column.
    Caffe: lmb-freiburg/flownet2, src/caffe/layers/downsample_layer.{cpp,cu}
    """

    fixed_bottoms = (1,)

    def __init__(self, *, top_height: int = 0, top_width: int = 0) -> None:
        super().__init__()
        self.top_height, self.top_width = top_height, top_width

    def shapes(self, x: Shape, *reference: Shape) -> list[Shape]:
        for shape in (x, *reference):
            require(len(shape) == 4, f"bottom {shape} has {len(shape)} axes, wants N x C x H x W")
        sizes = reference[0][2:] if reference else (self.top_height, self.top_width)
        if sizes != x[2:] and min(sizes) <= 1:
            raise ShapeError(f"the top would be {sizes}, wants top_height and top_width above 1")
        require_mappable(x[2:], sizes)
        return [(*x[:2], *sizes)]

    def forward(self, x: Tensor, *reference: Tensor) -> Tensor:
        spatial = tuple(x.shape[2:])
        sizes = tuple(reference[0].shape[2:]) if reference else (self.top_height, self.top_width)
        if sizes == spatial:
            return x
        rows, columns = _matrices(spatial, sizes)
        unknown = x.isnan()
        known_weight = mapped((~unknown).to(x.dtype), rows, columns)
        unknown_weight = mapped(unknown.to(x.dtype), rows, columns)
        mean = mapped(x.masked_fill(unknown, 0), rows, columns) / known_weight
        return mean.masked_fill(unknown_weight / known_weight > 0.5, nan)

    def onnx(self, op: Op, x: str, *reference: str) -> Values:
        require_fixed_sizes(op, x, *reference)
        spatial, sizes = op.shape(x)[2:], op.shape(op.tops[0])[2:]
        if sizes == spatial:
            return x
        rows, columns = _matrices(spatial, sizes)
        unknown = op.IsNaN(x)
        kept = op.Where(unknown, op.scalar(0), x)
        ones = op.to_float(unknown)
        zeros = op.Sub(op.scalar(1), ones)
        total = onnx_mapped(op, kept, rows, columns)
        known = onnx_mapped(op, zeros, rows, columns)
        lost = onnx_mapped(op, ones, rows, columns)
        share = op.Div(lost, known)
        drop = op.Greater(share, op.scalar(0.5))
        return op.Where(drop, op.scalar(nan), op.Div(total, known))


def _matrices(spatial: Shape, sizes: Shape) -> tuple[Matrix, Matrix]:
    rows, columns = (_weights(*pair) for pair in zip(spatial, sizes, strict=True))
    return rows, columns


def _weights(size: int, top: int) -> Matrix:
    """Return the top x size matrix of weights along one axis, in float32 where Caffe is."""
    steps = np.arange(top, dtype=np.float32) / np.float32(top - 1)
    at = steps * np.float32(size - 1)
    scale = np.float32(size - 1) / np.float32(top - 1)
    away = np.abs(at.astype(np.float64)[:, None] - np.arange(size))
    if scale == 0:  # one row: each place lies on it, and 0 / 0 weighs nothing in CUDA
        return np.zeros_like(away)
    return np.maximum(1 - away / float(scale), 0)
