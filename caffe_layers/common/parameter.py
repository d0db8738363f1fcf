"""Parameter."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from caffe_layers.base.filler import Filler
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape


class Parameter(Layer, type="Parameter", param="parameter_param", bottoms=0):
    """The top is the layer's one blob, `weight`, of the shape `shape`; it starts as 0.

    With happynear's `blob_filler` it starts as that fills it.

    Caffe: BVLC/caffe, src/caffe/layers/parameter_layer.cpp
    """

    own_values = True
    fork_fields = ("parameter_param.blob_filler",)

    def __init__(self, *, shape: Sequence[int] = (), blob_filler: Filler = Filler()) -> None:
        super().__init__()
        self.add_blob("weight", tuple(shape), blob_filler)

    def shapes(self) -> list[Shape]:
        return [tuple(self.weight.shape)]

    def forward(self) -> Tensor:
        weight: Tensor = self.weight
        return weight.view_as(weight)

    def onnx(self, op: Op) -> Values:
        return op.weight(self, "weight")
