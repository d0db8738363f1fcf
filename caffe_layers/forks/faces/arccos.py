"""Arccos, from happynear."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.arithmetic.gradient import gradient_of
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

NEAR_1 = 0.99
"""Beyond it the gradient is that at it: at 1 there is none."""


class Arccos(Layer, type="Arccos", fork="happynear"):
    """`top = arccos(x)`, for x of any shape.

    The gradient is `-1 / sqrt(1 - min(x, 0.99)^2)`.

    Caffe: happynear/caffe-windows, src/caffe/layers/arccos_layer.cpp
    """

    def shapes(self, x: Shape) -> list[Shape]:
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        near = x.detach().clamp(max=NEAR_1)
        return gradient_of(x.detach().acos(), -x / (1 - near.square()).sqrt())

    def onnx(self, op: Op, x: str) -> Values:
        return op.Acos(x)
