"""Swish."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Py, Values
from caffe_layers.base.shape import Shape


class Swish(Layer, type="Swish", param="swish_param"):
    """`top = x * sigmoid(beta * x)`, for x of any shape.

    Caffe: BVLC/caffe, src/caffe/layers/swish_layer.cpp
    """

    family = "activation"

    def __init__(self, *, beta: float = 1.0) -> None:
        super().__init__()
        self.beta = float32(beta)

    def shapes(self, x: Shape) -> list[Shape]:
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        return x * (x * self.beta).sigmoid()

    def onnx(self, op: Op, x: str) -> Values:
        inner = op.Mul(x, op.scalar(self.beta))
        return op.Mul(x, op.Sigmoid(inner))

    def python(self, py: Py, x: str) -> str:
        return f"{x} * torch.sigmoid({self.beta} * {x})"
