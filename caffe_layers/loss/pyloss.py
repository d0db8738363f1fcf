"""The Python layer `pyloss.EuclideanLossLayer` of Caffe's examples, without its Python."""

from __future__ import annotations

from math import prod

from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
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

    def onnx(self, op: Op, a: str, b: str) -> Values:
        if op.shape(a) != op.shape(b):
            b = op.Reshape(b, op.Shape(a))
        difference = op.Sub(a, b)
        squares = op.Mul(difference, difference)
        total = op.ReduceSum(squares, keepdims=0)
        half = op.Reshape(op.Mul(total, op.scalar(0.5)), op.ints(1))
        return op.Div(half, leading_count(op, a, 1))
