"""AbsVal."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Py, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError


class AbsVal(Layer, type="AbsVal"):
    """`top = |x|`, for x of any shape; the gradient at 0 is 0. Caffe refuses it in place.

    Caffe: BVLC/caffe, src/caffe/layers/absval_layer.cpp
    """

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> AbsVal:
        if list(layer.top) == list(layer.bottom):
            raise ShapeError(f"top and bottom are both {layer.top[0]!r}: it wants a top of its own")
        return cls()

    def shapes(self, x: Shape) -> list[Shape]:
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        return x.abs()

    def onnx(self, op: Op, x: str) -> Values:
        return op.Abs(x)

    def python(self, py: Py, x: str) -> str:
        return py.call("torch.abs", x)
