"""AllPass, of zzqiuzz's Caffe."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape


class AllPass(Layer, type="AllPass", fork="caffe_zz", param="all_pass_param"):
    """The top is the bottom; Caffe's layer prints its `key`.

    Caffe: zzqiuzz/caffe-zz at 845edea, src/caffe/layers/all_pass_layer.cpp
    """

    def __init__(self, *, key: float = 0.0) -> None:
        super().__init__()
        self.key = key

    def shapes(self, x: Shape) -> list[Shape]:
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        return x

    def onnx(self, op: Op, x: str) -> Values:
        return op.Identity(x)
