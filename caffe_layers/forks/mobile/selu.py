"""SeLu, of self-normalizing networks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape


class SeLu(Layer, type="SeLu", fork="snns"):
    """`top = scale * x` where x is above 0, else `scale * alpha * (exp(x) - 1)`; x of any shape.

    `scale` is `selu_param`'s `lambda`, a word that Python keeps for itself.

    Caffe: HolmesShuan/SNNs-Self-Normalizing-Neural-Networks-Caffe-Reimplementation,
    selu_layer.cpp
    """

    family = "activation"

    def __init__(self, *, alpha: float = 1.67326324, scale: float = 1.050700987) -> None:
        super().__init__()
        self.alpha, self.scale = float32(alpha), float32(scale)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> SeLu:
        param = layer.selu_param
        return cls(alpha=param.alpha, scale=getattr(param, "lambda"))

    def shapes(self, x: Shape) -> list[Shape]:
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        # Of 0 at most: what is large overflows in neither half, nor makes its gradient NaN.
        below = self.alpha * (x.clamp(max=0).exp() - 1)
        return self.scale * torch.where(x > 0, x, below)

    def onnx(self, op: Op, x: str) -> Values:
        return op.Selu(x, alpha=self.alpha, gamma=self.scale)
