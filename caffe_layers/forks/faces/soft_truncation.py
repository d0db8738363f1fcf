"""SoftTruncation, from happynear."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape


class SoftTruncation(Layer, type="SoftTruncation", fork="happynear", param="soft_truncation_param"):
    """`top = 1 - exp(-x / c)`, for x of any shape.

    Caffe: happynear/caffe-windows, src/caffe/layers/soft_truncation_layer.cpp
    """

    def __init__(self, *, c: float) -> None:
        super().__init__()
        self.c = float32(c)

    def shapes(self, x: Shape) -> list[Shape]:
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        return 1 - (x / -self.c).exp()

    def onnx(self, op: Op, x: str) -> Values:
        power = op.Div(x, op.scalar(-self.c))
        return op.Sub(op.scalar(1), op.Exp(power))
