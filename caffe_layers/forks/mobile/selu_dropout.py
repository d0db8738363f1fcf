"""SeLuDropout, of self-normalizing networks."""

from __future__ import annotations

import torch
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape


class SeLuDropout(Layer, type="SeLuDropout", fork="snns", param="selu_dropout_param"):
    """In training `top = a * (x or alpha) + b`, else `top = x`; x of any shape.

    Each value is replaced by `alpha` with the probability `dropout_ratio`. Of
    `q = 1 - dropout_ratio`, `a = (q + alpha^2 q (1 - q))^-1/2` and `b = -a (1 - q) alpha` keep mean
    and variance of what SeLu gives. The gradient is a where x stayed, else 0. An ONNX model passes
    x through, whatever the phase of the network.

    Errors: ShapeError for a ratio outside of (0, 1).
    Caffe: HolmesShuan/SNNs-Self-Normalizing-Neural-Networks-Caffe-Reimplementation,
    selu_dropout_layer.cpp
    """

    family = "dropout"

    def __init__(self, *, dropout_ratio: float = 0.1, alpha: float = -1.75809934) -> None:
        super().__init__()
        self.dropout_ratio, self.alpha = float32(dropout_ratio), float32(alpha)
        ratio = self.dropout_ratio
        require(0 < ratio < 1, f"dropout_ratio {ratio:g} wants to be above 0 and below 1")
        kept = 1 - ratio
        self.a = float((kept * (1 + self.alpha**2 * ratio)) ** -0.5)
        self.b = -self.a * ratio * self.alpha

    def shapes(self, x: Shape) -> list[Shape]:
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        stays = torch.rand_like(x) >= self.dropout_ratio
        return self.a * x.where(stays, self.alpha) + self.b

    @property
    def is_identity(self) -> bool:
        return not self.training

    def onnx(self, op: Op, x: str) -> Values:
        return x
