"""Reverse, from CTPN and CRNN."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.arithmetic.reversed import emit_reversed
from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Py, Values
from caffe_layers.base.shape import Shape


class Reverse(Layer, type="Reverse", fork="caffe_ocr", param="reverse_param"):
    """Turn an axis round: `top[..., i, ...] = x[..., size - 1 - i, ...]` along `axis`.

    Errors: ShapeError for an axis that the bottom lacks, and a negative one.
    Caffe: senlinuc/caffe_ocr, src/caffe/layers/reverse_layer.cpp
    """

    family = "shape"

    def __init__(self, *, axis: int = 0) -> None:
        super().__init__()
        self.axis = axis

    def shapes(self, x: Shape) -> list[Shape]:
        require(0 <= self.axis < len(x), f"axis {self.axis} is none of bottom {x}")
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        return x.flip(self.axis)

    def onnx(self, op: Op, x: str) -> Values:
        return emit_reversed(op, x, self.axis)

    def python(self, py: Py, x: str) -> str:
        return py.call("torch.flip", x, (self.axis,))
