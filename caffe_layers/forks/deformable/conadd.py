"""Conadd, from deformable convolutional networks."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape


class Conadd(Layer, type="Conadd", fork="deformable", bottoms=(1, None)):
    """The sum of all bottoms, which are of one shape.

    Errors: ShapeError for bottoms of different shapes, which Caffe reads as if they were of one.
    Caffe: unsky/Deformable-ConvNets-caffe, src/caffe/layers/conadd_layer.cpp
    """

    family = "sum"

    def shapes(self, *bottoms: Shape) -> list[Shape]:
        for bottom in bottoms:
            require(bottom == bottoms[0], f"bottoms {bottoms[0]} and {bottom} differ")
        return [bottoms[0]]

    def forward(self, *bottoms: Tensor) -> Tensor:
        top = bottoms[0].clone()
        for x in bottoms[1:]:
            top = top + x
        return top

    def onnx(self, op: Op, *bottoms: str) -> Values:
        return op.Sum(*bottoms)
