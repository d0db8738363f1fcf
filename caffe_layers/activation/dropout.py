"""Dropout."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from ..checks import require
from ..layer import Layer, Shape
from ..number import float32


class Dropout(Layer, type="Dropout"):
    """In training `top = x * mask / (1 - dropout_ratio)`, else `top = x`, for x of any shape.

    Each value of the mask is 0 with the probability `dropout_ratio`, else 1. An ONNX model
    passes x through, whatever the phase of the network.

    Errors: ShapeError for a ratio outside [0, 1).
    Caffe: BVLC/caffe, src/caffe/layers/dropout_layer.cpp
    """

    def __init__(self, *, dropout_ratio: float = 0.5) -> None:
        super().__init__()
        self.dropout_ratio = float32(dropout_ratio)
        ratio = self.dropout_ratio
        require(0 <= ratio < 1, f"dropout_ratio {ratio} wants to be at least 0 and below 1")

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Dropout:
        return cls(dropout_ratio=layer.dropout_param.dropout_ratio)

    def shapes(self, x: Shape) -> list[Shape]:
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout_ratio, self.training)

    def onnx(self, op: Any, x: str) -> Any:
        return op.Identity(x)
