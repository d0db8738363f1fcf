"""Parameter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from caffe_layers.base.filler import Filler
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape


class Parameter(Layer, type="Parameter", bottoms=0):
    """The top is the layer's one blob, `weight`, of the shape `shape`; it starts as 0.

    Caffe: BVLC/caffe, src/caffe/layers/parameter_layer.cpp
    """

    own_values = True

    def __init__(self, *, shape: Sequence[int] = ()) -> None:
        super().__init__()
        self.add_blob("weight", tuple(shape), Filler())

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Parameter:
        return cls(shape=layer.parameter_param.shape.dim)

    def shapes(self) -> list[Shape]:
        return [tuple(self.weight.shape)]

    def forward(self) -> Tensor:
        weight: Tensor = self.weight
        return weight.view_as(weight)

    def onnx(self, op: Op) -> Values:
        return op.weight(self, "weight")
