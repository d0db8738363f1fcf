"""EuclideanLoss."""

from __future__ import annotations

from math import prod

from torch import Tensor

from caffe_layers.base.checks import legacy_shape, require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

from .labels import check_batch
from .normalizer import leading_count


class EuclideanLoss(Layer, type="EuclideanLoss", bottoms=2):
    """`top = sum((a - b)^2) / (2 N)`, a scalar, for two bottoms of N samples of as many values.

    Unlike other losses it gives both bottoms a gradient.

    Errors: ShapeError for bottoms that differ in samples or values, or have more than 4 axes.
    Caffe: BVLC/caffe, src/caffe/layers/euclidean_loss_layer.cpp
    """

    is_loss = True

    def shapes(self, a: Shape, b: Shape) -> list[Shape]:
        check_batch(a, b)
        legacy_shape(a, "bottom")
        legacy_shape(b, "bottom")
        require(prod(a) == prod(b), f"bottoms {a} and {b} differ in the values of a sample")
        return [()]

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return (a - b.reshape(a.shape)).square().sum() / (2 * a.shape[0])

    def onnx(self, op: Op, a: str, b: str) -> Values:
        if op.shape(a) != op.shape(b):
            b = op.Reshape(b, op.Shape(a))
        difference = op.Sub(a, b)
        squares = op.Mul(difference, difference)
        half = op.Mul(op.ReduceSum(squares, keepdims=0), op.scalar(0.5))
        return op.Div(half, leading_count(op, a, 1))
