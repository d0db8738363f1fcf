"""Silence."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Py, Values
from caffe_layers.base.shape import Shape


class Silence(Layer, type="Silence", bottoms=(1, None), tops=0):
    """Consumes its bottoms, so that they are no outputs of the network; their gradient is 0.

    Caffe: BVLC/caffe, src/caffe/layers/silence_layer.cpp
    """

    is_sink = True

    def shapes(self, *bottoms: Shape) -> list[Shape]:
        return []

    def forward(self, *bottoms: Tensor) -> tuple[Tensor, ...]:
        return ()

    def onnx(self, op: Op, *bottoms: str) -> Values:
        return ()

    def python(self, py: Py, *bottoms: str) -> str:
        return ""
