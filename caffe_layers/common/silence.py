"""Silence."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from caffe_layers.base.layer import Layer, Shape


class Silence(Layer, type="Silence", bottoms=(1, None), tops=0):
    """Consumes its bottoms, so that they are no outputs of the network; their gradient is 0.

    Caffe: BVLC/caffe, src/caffe/layers/silence_layer.cpp
    """

    is_sink = True

    def shapes(self, *bottoms: Shape) -> list[Shape]:
        return []

    def forward(self, *bottoms: Tensor) -> tuple[Tensor, ...]:
        return ()

    def onnx(self, op: Any, *bottoms: str) -> Any:
        return ()

    def python(self, py: Any, *bottoms: str) -> Any:
        return ""
