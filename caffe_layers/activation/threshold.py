"""Threshold."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape


class Threshold(Layer, type="Threshold", param="threshold_param"):
    """`top = 1` where `x > threshold`, else 0, for x of any shape; without a gradient.

    Caffe: BVLC/caffe, src/caffe/layers/threshold_layer.cpp
    """

    family = "activation"

    def __init__(self, *, threshold: float = 0.0) -> None:
        super().__init__()
        self.threshold = float32(threshold)

    def shapes(self, x: Shape) -> list[Shape]:
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        return (x > self.threshold).to(x.dtype)

    def onnx(self, op: Op, x: str) -> Values:
        if not op.takes("Greater"):
            # A difference of floats is 0 only of equal ones.
            return op.Relu(op.Sign(op.Sub(x, op.scalar(self.threshold))))
        above = op.Greater(x, op.scalar(self.threshold))
        return op.to_float(above)
