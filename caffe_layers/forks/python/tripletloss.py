"""The Python layers of tripletloss: lengths of 1, and the choice of triplets."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from caffe_layers.data.fed import Fed
from caffe_layers.data.python import PythonShapes, register_python


@register_python("datalayer", "DataLayer")
class TripletData(Fed, bottoms=0, tops=2):
    """Images and their labels, in threes, of shapes that settings outside say: both are fed.

    What is advised is the published code's, 30 x 3 x 224 x 224 and 30.

    Caffe: luhaofang/tripletloss, tripletloss/datalayer.py
    """

    examples = ((30, 3, 224, 224), (30,))

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> TripletData:
        return cls(None, None)


@register_python("norm2layer", "Norm2Layer")
class Norm2Layer(Layer, bottoms=1):
    """`top = x / sqrt(sum(x^2))` for each sample of N x C; one that is all 0 stays so.

    The gradient is the formula's; the published code of some versions hands none on.

    Errors: ShapeError for more than C values a sample.
    Caffe: luhaofang/tripletloss, tripletloss/norm2layer.py
    """

    def shapes(self, x: Shape) -> list[Shape]:
        require(len(x) > 1 and prod(x[2:]) == 1, f"bottom {x}, wants N x C")
        return [x[:2]]

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        length = x.square().sum(1, keepdim=True).sqrt()
        return x / torch.where(length == 0, 1, length)

    def onnx(self, op: Op, x: str) -> Values:
        rows = op.Flatten(x, axis=1)
        length = op.Sqrt(op.reduce("ReduceSum", op.Mul(rows, rows), [1], keepdims=1))
        one_where_zero = op.to_float(op.Equal(length, op.scalar(0)))
        return op.Div(rows, op.Add(length, one_where_zero))


@register_python("tripletselectlayer", "TripletSelectLayer")
class TripletSelectLayer(PythonShapes, bottoms=(1, 2), tops=3):
    """Anchors, positives and negatives of N x C features, N / 3 x C each: shapes alone.

    Settings outside of the definition say how many triplets there are, and the code wants three
    times as many samples; the published versions choose them in several ways.

    Errors: ShapeError for other than triples of rows; UnsupportedError on running.
    Caffe: luhaofang/tripletloss, tripletloss/tripletselectlayer.py
    """

    fixed_bottoms = (1,)

    def shapes(self, x: Shape, *labels: Shape) -> list[Shape]:
        require(len(x) > 1 and x[0] % 3 == 0, f"bottom {x}, wants 3 K x C")
        return [(x[0] // 3, x[1])] * 3
