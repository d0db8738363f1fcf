"""Resize, from happynear."""

from __future__ import annotations

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
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError


class Resize(Layer, type="Resize", fork="happynear", param="resize_param"):
    """Bilinear resizing of N x C x H x W: row i of the top lies at `i H / H'`, alike the columns.

    The top is `height` x `width`, or with `is_pyramid_test` H and W times `out_height_scale` and
    `out_width_scale`, rounded down. Beyond the last row and column there is 0, so that the lower
    and the right edge darken.

    Errors: ShapeError without a size, and for an empty top.
    Caffe: happynear/caffe-windows, src/caffe/layers/resize_layer.cpp
    """

    def __init__(
        self,
        *,
        height: int | None = None,
        width: int | None = None,
        is_pyramid_test: bool = False,
        out_height_scale: float | None = None,
        out_width_scale: float | None = None,
    ) -> None:
        super().__init__()
        self.size: tuple[int, int] | None = None
        if is_pyramid_test:
            if out_height_scale is None or out_width_scale is None:
                raise ShapeError("is_pyramid_test wants out_height_scale and out_width_scale")
            self.scales = float32(out_height_scale or 0), float32(out_width_scale or 0)
        else:
            require(height is not None and width is not None, "no size, wants height and width")
            self.size = height or 0, width or 0

    def shapes(self, x: Shape) -> list[Shape]:
        require(len(x) == 4, f"bottom {x} has {len(x)} axes, wants N x C x H x W")
        sizes = self._sizes(x[2:])
        require(min(sizes) > 0, f"the top would be {sizes}")
        require_mappable(x[2:], sizes)
        return [(*x[:2], *sizes)]

    def _sizes(self, spatial: Shape) -> Shape:
        if self.size is not None:
            return self.size
        # The product is one of floats.
        return tuple(
            int(np.float32(scale) * np.float32(size))
            for scale, size in zip(self.scales, spatial, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        spatial = tuple(x.shape[2:])
        return mapped(x, *_matrices(spatial, self._sizes(spatial)))

    def onnx(self, op: Op, x: str) -> Values:
        require_fixed_sizes(op, x)
        return onnx_mapped(op, x, *_matrices(op.shape(x)[2:], op.shape(op.tops[0])[2:]))


def _matrices(spatial: Shape, sizes: Shape) -> tuple[Matrix, Matrix]:
    rows, columns = (_weights(*pair) for pair in zip(spatial, sizes, strict=True))
    return rows, columns


def _weights(size: int, top: int) -> Matrix:
    at = np.arange(top) * (size / top)
    low = np.floor(at).astype(int)
    matrix = np.zeros((top, size + 1))
    matrix[np.arange(top), low] = 1 - (at - low)
    matrix[np.arange(top), low + 1] = at - low
    return matrix[:, :size]
