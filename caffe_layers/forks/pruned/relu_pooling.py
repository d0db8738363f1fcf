"""ReLUPooling, of SkimCaffe."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

from .rectified_pool import RectifiedPool


class ReLUPooling(Layer, type="ReLUPooling", fork="skimcaffe"):
    """The largest value of each window, or 0 where there is none above: MAX Pooling and a ReLU.

    Errors: those of `RectifiedPool`; ShapeError for a second top.
    Caffe: IntelLabs/SkimCaffe at 2f66b5a, src/caffe/layers/relu_pooling_layer.cpp
    """

    family = "pooling"

    def __init__(self, pool: RectifiedPool) -> None:
        super().__init__()
        self.pool = pool

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> ReLUPooling:
        return cls(RectifiedPool(layer))

    def shapes(self, x: Shape) -> list[Shape]:
        return [self.pool.top(x)]

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(x)

    def onnx(self, op: Op, x: str) -> Values:
        return self.pool.onnx(op, x)
