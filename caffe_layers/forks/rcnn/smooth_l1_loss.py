"""SmoothL1Loss, as Fast R-CNN reads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from caffe_layers.base.checks import legacy_shape, require
from caffe_layers.base.layer import Layer
from caffe_layers.base.message import is_set
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from caffe_layers.loss.normalizer import leading_count
from prototxt.errors import ShapeError


class RCNNSmoothL1Loss(
    Layer, type="SmoothL1Loss", fork="rcnn", param="smooth_l1_loss_param", bottoms=(2, 4)
):
    """`top = sum(w_out * f(w_in * (a - b))) / N`, a scalar, for bottoms a, b, w_in, w_out.

    `f(d)` is `sigma^2 d^2 / 2` where `|d| < 1 / sigma^2`, else `|d| - 1 / (2 sigma^2)`. The bottoms
    are N x C (x H x W), both weights or none are there. a and b get a gradient, the weights none.

    Errors: ShapeError for bottoms that differ, and for one weight alone.
    Caffe: rbgirshick/caffe-fast-rcnn, src/caffe/layers/smooth_L1_loss_layer.cpp
    """

    is_loss = True
    fixed_bottoms = (2, 3)

    def __init__(self, *, sigma: float = 1.0) -> None:
        super().__init__()
        self.sigma2 = float32(sigma) ** 2

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        sigma, turn = (is_set(layer, f"{name}_param") for name in ("smooth_l1_loss", "smoothl1"))
        return (sigma or len(layer.bottom) == 4) and not turn

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> RCNNSmoothL1Loss:
        require(len(bottoms) != 3, "3 bottoms, wants 2, or 4 with the weights inside and outside")
        return cls(**cls.fields(layer))

    def shapes(self, a: Shape, b: Shape, *weights: Shape) -> list[Shape]:
        wanted = legacy_shape(a, "bottom")
        for name, other in zip(("b", "w_in", "w_out"), (b, *weights), strict=False):
            if legacy_shape(other, name) != wanted:
                raise ShapeError(f"{name} {other} and a {a} differ in shape")
        return [()]

    def forward(self, a: Tensor, b: Tensor, *weights: Tensor) -> Tensor:
        inside, outside = (weight.detach().reshape(a.shape) for weight in weights or (a, a))
        d = a - b.reshape(a.shape)
        d = inside * d if weights else d
        small, size = d.abs() < 1 / self.sigma2, d.abs()
        f = torch.where(small, 0.5 * self.sigma2 * d * d, size - 0.5 / self.sigma2)
        return (outside * f if weights else f).sum() / a.shape[0]

    def onnx(self, op: Op, a: str, b: str, *weights: str) -> Values:
        b, *rows = (
            op.Reshape(x, op.Shape(a)) if op.shape(x) != op.shape(a) else x for x in (b, *weights)
        )
        d = op.Sub(a, b)
        d = op.Mul(d, rows[0]) if rows else d
        size = op.Abs(d)
        small = op.Less(size, op.scalar(1 / self.sigma2))
        square = op.Mul(op.Mul(d, d), op.scalar(0.5 * self.sigma2))
        linear = op.Sub(size, op.scalar(0.5 / self.sigma2))
        f = op.Where(small, square, linear)
        f = op.Mul(f, rows[1]) if rows else f
        return op.Div(op.ReduceSum(f, keepdims=0), leading_count(op, a, 1))
