"""Flip, from happynear."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.base.checks import legacy_shape
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape


class Flip(Layer, type="Flip", fork="happynear", param="flip_param"):
    """N x C x H x W mirrored, left for right and, with `flip_height`, upside down.

    Caffe: happynear/caffe-windows, src/caffe/layers/flip_layer.cpp
    """

    def __init__(self, *, flip_width: bool = True, flip_height: bool = False) -> None:
        super().__init__()
        self.flip_width, self.flip_height = flip_width, flip_height

    def shapes(self, x: Shape) -> list[Shape]:
        legacy_shape(x, "bottom")
        return [x]

    def _axes(self, rank: int) -> list[int]:
        wanted = ((2, self.flip_height), (3, self.flip_width))
        return [axis for axis, flips in wanted if flips and axis < rank]

    def forward(self, x: Tensor) -> Tensor:
        return x.flip(self._axes(x.dim()))

    def onnx(self, op: Op, x: str) -> Values:
        axes = self._axes(len(op.shape(x)))
        if not axes:
            return x
        ends, back = (op.ints(*(number,) * len(axes)) for number in (-(2**63), -1))
        return op.Slice(x, back, ends, op.ints(*axes), back)
