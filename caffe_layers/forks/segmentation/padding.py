"""Padding, from DeepLab's first version."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.arithmetic.window import pad_spatial
from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError

END = 2**63 - 1
"""An end beyond every axis: ONNX's Slice stops at the axis' own."""


class Padding(Layer, type="Padding", fork="deeplab_v1", param="padding_param"):
    """N x C x H x W with `pad_beg` zeros before and `pad_end` after both H and W.

    Negative pads cut so many rows and columns off instead.

    Errors: ShapeError for pads of different signs, and where nothing is left.
    Caffe: TheLegendAli/DeepLab-Context, src/caffe/layers/padding_layer.cpp
    """

    def __init__(self, *, pad_beg: int = 0, pad_end: int = 0) -> None:
        super().__init__()
        if pad_beg * pad_end < 0:
            raise ShapeError(
                f"pad_beg {pad_beg} and pad_end {pad_end} differ in sign, wants one sign"
            )
        self.pad_beg, self.pad_end = pad_beg, pad_end

    def shapes(self, x: Shape) -> list[Shape]:
        require(len(x) == 4, f"bottom {x} has {len(x)} axes, wants 4")
        sizes = [size + self.pad_beg + self.pad_end for size in x[2:]]
        pads = f"pad_beg {self.pad_beg} and pad_end {self.pad_end}"
        require(min(sizes) > 0, f"{pads} leave nothing of {x}")
        return [(*x[:2], *sizes)]

    def forward(self, x: Tensor) -> Tensor:
        return pad_spatial(x, (self.pad_beg,) * 2, (self.pad_end,) * 2)

    def onnx(self, op: Op, x: str) -> Values:
        if self.pad_beg < 0 or self.pad_end < 0:
            ends = op.ints(*(self.pad_end or END,) * 2)
            return op.Slice(x, op.ints(*(-self.pad_beg,) * 2), ends, op.ints(2, 3))
        begin, end = (self.pad_beg,) * 2, (self.pad_end,) * 2
        return op.Pad(x, op.ints(0, 0, *begin, 0, 0, *end), op.scalar(0))
