"""ELU."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Py, Values
from caffe_layers.base.shape import Shape


class ELU(Layer, type="ELU", param="elu_param"):
    """`top = max(x, 0) + alpha * (exp(min(x, 0)) - 1)`, for x of any shape.

    Caffe: BVLC/caffe, src/caffe/layers/elu_layer.cpp
    """

    family = "activation"

    def __init__(self, *, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = float32(alpha)

    def shapes(self, x: Shape) -> list[Shape]:
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        return F.elu(x, self.alpha)

    def onnx(self, op: Op, x: str) -> Values:
        return op.Elu(x, alpha=self.alpha)

    def python(self, py: Py, x: str) -> str:
        return py.call("F.elu", x, alpha=self.alpha)
