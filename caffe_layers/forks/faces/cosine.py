"""Cosine, from happynear."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape


class Cosine(Layer, type="Cosine", fork="happynear"):
    """`top = cos(x)`, for x of any shape.

    Caffe: happynear/caffe-windows, src/caffe/layers/cosine_layer.cpp
    """

    def shapes(self, x: Shape) -> list[Shape]:
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        return x.cos()

    def onnx(self, op: Op, x: str) -> Values:
        return op.Cos(x)
