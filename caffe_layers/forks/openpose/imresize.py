"""ImResize, from caffe_rtpose."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from caffe_layers.arithmetic.linear_map import Matrix, require_fixed_sizes, require_mappable
from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import UnsupportedError

MANY = 1000
"""More scales than anyone averages: where the images do not shrink, all maps are alike."""


class ImResize(Layer, type="ImResize", fork="openpose", param="imresize_param"):
    """The mean of N maps of one image at falling scales, N x C x H x W, as 1 x C x H' x W'.

    Map n holds the image in its middle, padded: `floor(W div 2 * (1 - start_scale + n scale_gap))`
    columns at each side are left out, alike the rows. What is left is resized by cubic
    interpolation (a = -0.5; the last row and column repeat, and the first extrapolate) to
    `target_spatial_height` x `target_spatial_width`, or, with a `factor` that is not 0, to H and W
    times the factor, rounded down.

    Errors: ShapeError for a map of which nothing is left.
    Caffe: CMU-Perceptual-Computing-Lab/caffe_rtpose, src/caffe/cpm/layers/imresize_layer.{cpp,cu}
    """

    def __init__(
        self,
        *,
        target_spatial_width: int = 368,
        target_spatial_height: int = 368,
        factor: float = 0.0,
        start_scale: float = 1.0,
        scale_gap: float = 0.1,
    ) -> None:
        super().__init__()
        self.target = target_spatial_height, target_spatial_width
        self.factor = np.float32(factor)
        self.start_scale, self.scale_gap = np.float32(start_scale), np.float32(scale_gap)

    def shapes(self, x: Shape) -> list[Shape]:
        require(len(x) == 4, f"bottom {x} has {len(x)} axes, wants N x C x H x W")
        sizes = self._sizes(x[2:])
        require(min(sizes) > 0, f"the top would be {sizes}")
        require_mappable((x[0] * x[2], x[0] * x[3]), sizes)
        most = self._scales(x[2:], x[0])
        require(most == x[0], f"of {x[0]} maps of {x[2:]} only {most} are more than padding")
        return [(1, x[1], *sizes)]

    def _sizes(self, spatial: Shape) -> Shape:
        if self.factor == 0:
            return self.target
        return tuple(int(np.float32(size) * self.factor) for size in spatial)

    def _pad(self, size: int, scale: int) -> int:
        """Return how much of a map's border is padding, computed in float32."""
        part = np.float32(1) - self.start_scale + np.float32(scale) * self.scale_gap
        return int(np.floor(np.float32(size // 2) * part))

    def _scales(self, spatial: Shape, wanted: int) -> int:
        """Return how many maps, up to `wanted`, are more than padding and lie within the image."""
        for scale in range(wanted):
            pads = [self._pad(size, scale) for size in spatial]
            inner = [size - 2 * pad for size, pad in zip(spatial, pads, strict=True)]
            if min(inner) < 1 or min(pads) < 0:
                return scale
        return wanted

    def _matrices(self, spatial: Shape, scales: int) -> tuple[Matrix, Matrix]:
        """Return what makes the top's rows and columns, of each map."""
        rows, columns = (
            np.stack([_cubic(size, top, self._pad(size, scale)) for scale in range(scales)])
            for size, top in zip(spatial, self._sizes(spatial), strict=True)
        )
        return rows, columns

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = (
            torch.as_tensor(m, dtype=x.dtype, device=x.device).unsqueeze(1)
            for m in self._matrices(tuple(x.shape[2:]), x.shape[0])
        )
        return (rows @ x @ columns.mT).mean(0, keepdim=True)

    def onnx(self, op: Op, x: str) -> Values:
        require_fixed_sizes(op, x)
        spatial = op.shape(x)[2:]
        free = op.dynamic(x)[0]
        count = self._scales(spatial, MANY) if free else op.shape(x)[0]
        if count == MANY:
            count = 1  # all maps are alike: one matrix serves them
        rows, columns = self._matrices(spatial, count)
        if free and count == 1 and self.scale_gap != 0:
            raise UnsupportedError(
                f"a second map of {spatial} would be all padding, so the batch cannot be free",
                fix="export with a fixed batch",
            )
        left = op.array("rows", rows[:, None])
        right = op.array("columns", columns[:, None].transpose(0, 1, 3, 2))
        if free and count > 1:
            images = op.Slice(op.Shape(x), op.ints(0), op.ints(1))
            left, right = (
                op.Slice(value, op.ints(0), images, op.ints(0)) for value in (left, right)
            )
        resized = op.MatMul(op.MatMul(left, x), right)
        return op.reduce("ReduceMean", resized, [0], keepdims=1)


def _cubic(size: int, top: int, pad: int) -> Matrix:
    """Return the top x size matrix that resizes what lies between two borders of `pad`."""
    inner = size - 2 * pad
    ratio = np.float32(inner) / np.float32(top)
    offset = np.float32(float(np.float32(top) / np.float32(inner) / np.float32(2)) - 0.5)
    at = (np.arange(top, dtype=np.float32) - offset) * ratio
    near = np.maximum(np.trunc(at.astype(np.float64) + 1e-5).astype(int), 0)
    t = (at - near.astype(np.float32)).astype(np.float64)
    last = inner - 1
    after = np.minimum(near + 1, last)
    taps = (np.maximum(near - 1, 0), near, after, np.minimum(after + 1, last))
    weights = (
        -0.5 * t**3 + t**2 - 0.5 * t,
        1.5 * t**3 - 2.5 * t**2 + 1,
        -1.5 * t**3 + 2 * t**2 + 0.5 * t,
        0.5 * t**3 - 0.5 * t**2,
    )
    matrix = np.zeros((top, size))
    for tap, weight in zip(taps, weights, strict=True):
        np.add.at(matrix, (np.arange(top), tap + pad), weight)
    return matrix
