"""TanH."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from caffe_layers.base.layer import Layer, Shape


class TanH(Layer, type="TanH"):
    """`top = tanh(x)`, for x of any shape.

    Caffe: BVLC/caffe, src/caffe/layers/tanh_layer.cpp
    """

    family = "activation"

    def shapes(self, x: Shape) -> list[Shape]:
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        return x.tanh()

    def onnx(self, op: Any, x: str) -> Any:
        return op.Tanh(x)

    def python(self, py: Any, x: str) -> Any:
        return py.call("torch.tanh", x)
