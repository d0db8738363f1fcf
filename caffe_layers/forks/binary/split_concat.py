"""SplitConcat and Statistic, of the XNOR networks of loswensiana's Caffe."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from caffe_layers.base.checks import canonical_axis, require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from caffe_layers.base.shapes_only import ShapesOnly


class SplitConcat(Layer, type="SplitConcat", fork="bwn_xnor", param="concat_param"):
    """The bottom `convolution_param.num_output` times, side by side along `concat_param.axis`.

    Errors: ShapeError without a number of copies.
    Caffe: loswensiana/BWN-XNOR-caffe at 2ccf4e7, src/caffe/ex_layers/split_concat_layer.cpp
    """

    family = "sum"

    def __init__(self, copies: int, *, axis: int = 1) -> None:
        super().__init__()
        require(copies > 0, f"convolution_param.num_output is {copies}, wants 1 or more")
        self.copies, self.axis = copies, axis

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> SplitConcat:
        param = layer.concat_param
        computed = {"axis": param.concat_dim} if param.HasField("concat_dim") else {}
        return cls(layer.convolution_param.num_output, **cls.fields(layer, **computed))

    def shapes(self, x: Shape) -> list[Shape]:
        axis = canonical_axis(self.axis, len(x))
        return [(*x[:axis], x[axis] * self.copies, *x[axis + 1 :])]

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x] * self.copies, dim=self.axis)

    def onnx(self, op: Op, x: str) -> Values:
        return op.Concat(*[x] * self.copies, axis=canonical_axis(self.axis, len(op.shape(x))))


class Statistic(ShapesOnly, type="Statistic", fork="bwn_xnor"):
    """The share of the bottom's values below 0.00000001, at some passes; it only measures.

    Caffe: loswensiana/BWN-XNOR-caffe at 2ccf4e7, src/caffe/ex_layers/statistics_layer.cpp
    """

    is_metric = True
    reason = "counts passes, and measures at some of them"

    def shapes(self, x: Shape) -> list[Shape]:
        return [(1, 1, 1, 1)]
