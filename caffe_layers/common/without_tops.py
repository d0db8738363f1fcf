"""What layers without tops share."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape


class WithoutTops(Layer):
    """Base: takes any number of bottoms, of any shapes, and makes nothing of them."""

    def shapes(self, *bottoms: Shape) -> list[Shape]:
        return []

    def forward(self, *bottoms: Tensor) -> tuple[Tensor, ...]:
        return ()

    def onnx(self, op: Op, *bottoms: str) -> Values:
        return ()
