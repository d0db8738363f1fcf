"""Swish."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from caffe_layers.base.layer import Layer, Shape
from caffe_layers.base.number import float32


class Swish(Layer, type="Swish"):
    """`top = x * sigmoid(beta * x)`, for x of any shape.

    Caffe: BVLC/caffe, src/caffe/layers/swish_layer.cpp
    """

    family = "activation"

    def __init__(self, *, beta: float = 1.0) -> None:
        super().__init__()
        self.beta = float32(beta)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Swish:
        return cls(beta=layer.swish_param.beta)

    def shapes(self, x: Shape) -> list[Shape]:
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        return x * (x * self.beta).sigmoid()

    def onnx(self, op: Any, x: str) -> Any:
        inner = op.Mul(x, op.scalar(self.beta), name="inner")
        return op.Mul(x, op.Sigmoid(inner, name="sigmoid"))

    def python(self, py: Any, x: str) -> Any:
        return f"{x} * torch.sigmoid({self.beta} * {x})"
