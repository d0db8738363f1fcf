"""Noise, from happynear."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import UnsupportedError


class Noise(Layer, type="Noise", fork="happynear"):
    """`top = x` in testing; in training noise would be added, which is not computed.

    Errors: UnsupportedError in training.
    Caffe: happynear/caffe-windows, src/caffe/layers/noise_layer.cpp
    """

    def shapes(self, x: Shape) -> list[Shape]:
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            raise UnsupportedError(
                "the published facts do not say how the noise of training is scaled",
                fix="run the layer in TEST",
            )
        return x.clone()

    def onnx(self, op: Op, x: str) -> Values:
        return x
