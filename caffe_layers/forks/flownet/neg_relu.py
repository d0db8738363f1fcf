"""NegReLU, from FlowNet2."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape


class NegReLU(Layer, type="NegReLU", fork="flownet2", param="relu_param"):
    """`top = min(x, 0) + negative_slope * max(x, 0)`, for x of any shape (`relu_param`).

    Caffe: lmb-freiburg/flownet2, src/caffe/layers/neg_relu_layer.cpp
    """

    family = "activation"

    def __init__(self, *, negative_slope: float = 0.0) -> None:
        super().__init__()
        self.negative_slope = float32(negative_slope)

    def shapes(self, x: Shape) -> list[Shape]:
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        return x.where(x < 0, x * self.negative_slope)

    def onnx(self, op: Op, x: str) -> Values:
        if self.negative_slope == 0:
            return op.Min(x, op.scalar(0))
        positive = op.Mul(op.Relu(x), op.scalar(self.negative_slope))
        return op.Add(op.Min(x, op.scalar(0)), positive)
