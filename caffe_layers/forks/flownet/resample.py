"""Resample, from FlowNet2."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
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
from prototxt.errors import ShapeError, UnsupportedError

RADIUS = {"LINEAR": 2, "CUBIC": 4}
"""Filter -> how far it looks, in steps of the coarser grid."""


class Resample(Layer, type="Resample", fork="flownet2", param="resample_param", bottoms=(1, 2)):
    """Resizing of N x C x H x W to `height` x `width`, or to the size of a second bottom.

    `type` is NEAREST, LINEAR or CUBIC (a = -0.5). With `fx = W / W'` and `fy = H / H'` the top's
    place (x, y) lies at `(x fx + fy/2 - 1/2, y fy + fx/2 - 1/2)`: the two factors change places in
    the offsets, which moves the image where they differ. If either is above 1, `antialias` widens
    the filters by them. Weights are divided by their sum inside the image; without any the value
    is 0. Coordinates are computed in float32.

    Definitions of older releases give no size but a `factor` to multiply both sizes with. A second
    bottom gets no gradient.

    Errors: ShapeError without a size; UnsupportedError for the type AREA, and for NEAREST where
    unequal factors lead out of the image.
    Caffe: lmb-freiburg/flownet2, src/caffe/layers/resample_layer.{cpp,cu}
    """

    fixed_bottoms = (1,)

    def __init__(
        self,
        *,
        width: int = 0,
        height: int = 0,
        type: str = "LINEAR",
        antialias: bool = True,
        factor: float = 1.0,
    ) -> None:
        super().__init__()
        if type not in ("NEAREST", *RADIUS):
            raise UnsupportedError(f"type {type} is none of NEAREST, LINEAR, CUBIC")
        self.width, self.height = width, height
        self.filter = type
        self.antialias = antialias
        self.factor = float32(factor)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Resample:
        param = layer.resample_param
        sized = param.HasField("width") or param.HasField("height") or len(bottoms) == 2
        if sized:
            return cls(**cls.fields(layer, factor=1.0))
        if not param.HasField("factor"):
            raise ShapeError("no size, wants height and width, a second bottom, or a factor")
        return cls(**cls.fields(layer))

    def shapes(self, x: Shape, *reference: Shape) -> list[Shape]:
        for shape in (x, *reference):
            require(len(shape) == 4, f"bottom {shape} has {len(shape)} axes, wants N x C x H x W")
        sizes = self._sizes(x[2:], reference[0][2:] if reference else ())
        require(min(sizes) > 0, f"the top would be {sizes}, wants height and width above 0")
        require_mappable(x[2:], sizes)
        if self.filter == "NEAREST":
            for at, size in zip(_places(x[2:], sizes), x[2:], strict=True):
                inside = at.min() >= 0 and at.max() < size
                if not inside:
                    raise UnsupportedError(
                        f"NEAREST from {x[2:]} to {sizes} reads beyond the image, as the factors "
                        "differ",
                        fix="take LINEAR, or one factor for both axes",
                    )
        return [(*x[:2], *sizes)]

    def _sizes(self, spatial: Shape, reference: Shape) -> Shape:
        if reference:
            return reference
        if self.height or self.width:
            return self.height, self.width
        return tuple(int(size * self.factor) for size in spatial)

    def forward(self, x: Tensor, *reference: Tensor) -> Tensor:
        spatial = tuple(x.shape[2:])
        sizes = self._sizes(spatial, tuple(reference[0].shape[2:]) if reference else ())
        if self.filter == "NEAREST":
            rows, columns = (torch.from_numpy(at).to(x.device) for at in _places(spatial, sizes))
            return x.index_select(2, rows).index_select(3, columns)
        return mapped(x, *self._matrices(spatial, sizes))

    def _matrices(self, spatial: Shape, sizes: Shape) -> list[Matrix]:
        factors = _factors(spatial, sizes)
        widen = self.antialias and max(factors) > 1
        return [
            _weights(at, size, factor if widen else np.float32(1), bool(factor < 1), self.filter)
            for at, size, factor in zip(_positions(spatial, sizes), spatial, factors, strict=True)
        ]

    def onnx(self, op: Op, x: str, *reference: str) -> Values:
        require_fixed_sizes(op, x, *reference)
        spatial, sizes = op.shape(x)[2:], op.shape(op.tops[0])[2:]
        if self.filter == "NEAREST":
            rows, columns = (op.ints(*at.tolist()) for at in _places(spatial, sizes))
            return op.Gather(op.Gather(x, rows, axis=2), columns, axis=3)
        return onnx_mapped(op, x, *self._matrices(spatial, sizes))


def _factors(spatial: Shape, sizes: Shape) -> tuple[np.float32, np.float32]:
    fy, fx = (np.float32(a) / np.float32(b) for a, b in zip(spatial, sizes, strict=True))
    return fy, fx


def _positions(spatial: Shape, sizes: Shape) -> list[NDArray[np.float32]]:
    """Return where the top's rows and columns lie in the bottom."""
    fy, fx = _factors(spatial, sizes)
    half = np.float32(0.5)
    return [
        np.arange(size, dtype=np.float32) * own + other / np.float32(2) - half
        for size, own, other in ((sizes[0], fy, fx), (sizes[1], fx, fy))
    ]


def _places(spatial: Shape, sizes: Shape) -> list[NDArray[np.int64]]:
    return [_rounded(at) for at in _positions(spatial, sizes)]


def _rounded(at: NDArray[np.float32]) -> NDArray[np.int64]:
    """Round half away from 0, as C does."""
    return np.trunc(at + np.copysign(np.float32(0.5), at)).astype(np.int64)


def _weights(
    at: NDArray[np.float32], size: int, widen: np.float32, finer: bool, kind: str
) -> Matrix:
    """Return the len(at) x size matrix of the filter's weights, whose rows sum to 1."""
    narrow = np.float32(1) / widen
    reach = 2 if finer else int(np.ceil(np.float32(RADIUS[kind]) / narrow))
    away = at.astype(np.float64)[:, None] - np.arange(size)
    weight = FILTERS[kind](np.abs(away * float(narrow)))
    weight[np.abs(_rounded(at)[:, None] - np.arange(size)) > reach] = 0
    total = weight.sum(1, keepdims=True)
    normed: Matrix = np.divide(weight, total, out=np.zeros_like(weight), where=total != 0)
    return normed


def _triangle(x: Matrix) -> Matrix:
    return np.maximum(1 - x, 0)


def _cubic(x: Matrix) -> Matrix:
    near = x * x * (1.5 * x - 2.5) + 1
    far = x * (x * (2.5 - 0.5 * x) - 4) + 2
    return np.where(x <= 1, near, np.where(x < 2, far, 0))


FILTERS = {"LINEAR": _triangle, "CUBIC": _cubic}
