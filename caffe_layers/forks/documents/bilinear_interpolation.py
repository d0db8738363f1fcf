"""BilinearInterpolation, of document binarization."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from caffe_layers.vision.corner_resize import emit_resized, resized


class BilinearInterpolation(Layer, type="BilinearInterpolation", fork="documents", bottoms=2):
    """x, N x C x H x W, resized to the second bottom's height and width, corners at the corners.

    The second bottom has no gradient.

    Errors: ShapeError for bottoms without 4 axes.
    Caffe: ctensmeyer/caffe, src/caffe/layers/bilinear_layer.cpp
    """

    fixed_bottoms = (1,)

    def shapes(self, x: Shape, like: Shape) -> list[Shape]:
        for bottom in (x, like):
            require(len(bottom) == 4, f"bottom {bottom} has {len(bottom)} axes, wants 4")
        return [(*x[:2], *like[2:])]

    def forward(self, x: Tensor, like: Tensor) -> Tensor:
        return resized(x, like.shape[2:])

    def onnx(self, op: Op, x: str, like: str) -> Values:
        return emit_resized(op, x, op.Slice(op.Shape(like), op.ints(2), op.ints(4)))
