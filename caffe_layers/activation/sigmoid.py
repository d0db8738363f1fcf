"""Sigmoid."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Py, Values
from caffe_layers.base.shape import Shape


class Sigmoid(Layer, type="Sigmoid"):
    """`top = 1 / (1 + exp(-x))`, for x of any shape.

    Caffe: BVLC/caffe, src/caffe/layers/sigmoid_layer.cpp
    """

    family = "activation"

    def shapes(self, x: Shape) -> list[Shape]:
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        return x.sigmoid()

    def onnx(self, op: Op, x: str) -> Values:
        return op.Sigmoid(x)

    def python(self, py: Py, x: str) -> str:
        return py.call("torch.sigmoid", x)
