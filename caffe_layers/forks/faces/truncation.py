"""Truncation, from happynear."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape


class Truncation(Layer, type="Truncation", fork="happynear", param="truncation_param"):
    """`top = min(max(x, lower_bound), upper_bound)`, for x of any shape.

    The gradient is 0 from the bounds on, which BVLC's Clip still lets through.

    Caffe: happynear/caffe-windows, src/caffe/layers/truncation_layer.cpp
    """

    def __init__(self, *, lower_bound: float = 0.0, upper_bound: float = 5.0) -> None:
        super().__init__()
        self.lower_bound, self.upper_bound = float32(lower_bound), float32(upper_bound)

    def shapes(self, x: Shape) -> list[Shape]:
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        inside = (x > self.lower_bound) & (x < self.upper_bound)
        bounded = x.detach().clamp(min=self.lower_bound).clamp(max=self.upper_bound)
        return x.where(inside, bounded)

    def onnx(self, op: Op, x: str) -> Values:
        above = op.Max(x, op.scalar(self.lower_bound))
        return op.Min(above, op.scalar(self.upper_bound))
