"""The Python layer `pyloss.EuclideanLossLayer` of Caffe's examples, without its Python."""

from __future__ import annotations

from math import prod
from typing import Any

from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer, Shape
from caffe_layers.data.python import register_python

from .normalizer import leading_count


@register_python("pyloss", "EuclideanLossLayer")
class PyEuclideanLoss(Layer, bottoms=2):
    """`top = sum((a - b)^2) / (2 N)`, of shape (1,), for bottoms of N samples of as many values.

    Errors: ShapeError for bottoms of different numbers of values.
    Caffe: BVLC/caffe, examples/pycaffe/layers/pyloss.py
    """

    def shapes(self, a: Shape, b: Shape) -> list[Shape]:
        require(prod(a) == prod(b) and len(a) > 0, f"bottoms {a} and {b} differ in their values")
        return [(1,)]

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return ((a - b.reshape(a.shape)).square().sum() / (2 * a.shape[0])).reshape(1)

    def onnx(self, op: Any, a: str, b: str) -> Any:
        if op.shape(a) != op.shape(b):
            b = op.Reshape(b, op.Shape(a, name="sizes_of_a"), name="reshaped")
        difference = op.Sub(a, b, name="difference")
        squares = op.Mul(difference, difference, name="squares")
        total = op.ReduceSum(squares, keepdims=0, name="total")
        half = op.Reshape(op.Mul(total, op.scalar(0.5), name="half"), op.ints(1), name="halves")
        return op.Div(half, leading_count(op, a, 1))
