"""HardSigmoid."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape


class HardSigmoid(Layer, type="HardSigmoid", fork="mobile", param="hard_sigmoid_param"):
    """`top = min(max(alpha * x + beta, 0), 1)`, for x of any shape.

    Caffe: foss-for-synopsys-dwc-arc-processors/synopsys-caffe, hard_sigmoid_layer.cpp
    """

    family = "activation"

    def __init__(self, *, alpha: float = 0.2, beta: float = 0.5) -> None:
        super().__init__()
        self.alpha = float32(alpha)
        self.beta = float32(beta)

    def shapes(self, x: Shape) -> list[Shape]:
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.alpha + self.beta).clamp(0, 1)

    def onnx(self, op: Op, x: str) -> Values:
        return op.HardSigmoid(x, alpha=self.alpha, beta=self.beta)
