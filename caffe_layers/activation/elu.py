"""ELU."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from caffe_layers.base.layer import Layer, Shape
from caffe_layers.base.number import float32


class ELU(Layer, type="ELU"):
    """`top = max(x, 0) + alpha * (exp(min(x, 0)) - 1)`, for x of any shape.

    Caffe: BVLC/caffe, src/caffe/layers/elu_layer.cpp
    """

    family = "activation"

    def __init__(self, *, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = float32(alpha)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> ELU:
        return cls(alpha=layer.elu_param.alpha)

    def shapes(self, x: Shape) -> list[Shape]:
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        return F.elu(x, self.alpha)

    def onnx(self, op: Any, x: str) -> Any:
        return op.Elu(x, alpha=self.alpha)

    def python(self, py: Any, x: str) -> Any:
        return py.call("F.elu", x, alpha=self.alpha)
