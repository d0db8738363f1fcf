"""Sigmoid."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from caffe_layers.base.layer import Layer, Shape


class Sigmoid(Layer, type="Sigmoid"):
    """`top = 1 / (1 + exp(-x))`, for x of any shape.

    Caffe: BVLC/caffe, src/caffe/layers/sigmoid_layer.cpp
    """

    family = "activation"

    def shapes(self, x: Shape) -> list[Shape]:
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        return x.sigmoid()

    def onnx(self, op: Any, x: str) -> Any:
        return op.Sigmoid(x)

    def python(self, py: Any, x: str) -> Any:
        return py.call("torch.sigmoid", x)
