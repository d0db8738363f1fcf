"""MaskResize, of MNC."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.arithmetic.ramp import ramp
from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError

from .resampling import emit_line, line


class MaskResize(Layer, type="MaskResize", fork="mnc", param="mask_resize_param"):
    """x resized to `output_height` x `output_width`, bilinear.

    x is N x C x H x W, of which row i reads place `i * H / output_height`; columns alike. What lies
    behind the last pixel is that pixel, and more than half a pixel behind it 0.

    Errors: ShapeError for an output size of 0, and x without 4 axes.
    Caffe: daijifeng001/caffe-mnc, src/caffe/layers/mask_resize_layer.cu
    """

    def __init__(self, *, output_height: int, output_width: int) -> None:
        super().__init__()
        self.output = (output_height, output_width)
        if min(self.output) <= 0:
            raise ShapeError(f"output_height and output_width {self.output} want 1 or more")

    def shapes(self, x: Shape) -> list[Shape]:
        require(len(x) == 4, f"bottom {x} has {len(x)} axes, wants 4: N x C x H x W")
        return [(*x[:2], *self.output)]

    def forward(self, x: Tensor) -> Tensor:
        for axis, count in zip((2, 3), self.output, strict=True):
            size = x.shape[axis]
            beyond = [1] * (3 - axis)
            parts = line(ramp(x, count) * (size / count), size)
            shares = [
                x.index_select(axis, place) * weight.reshape(-1, *beyond) for place, weight in parts
            ]
            x = shares[0] + shares[1]
        return x

    def onnx(self, op: Op, x: str) -> Values:
        sizes = op.Shape(x)
        for axis, count in zip((2, 3), self.output, strict=True):
            size = op.Slice(sizes, op.ints(axis), op.ints(axis + 1))
            ratio = op.Div(op.to_float(size), op.scalar(count))
            at = op.Mul(op.floats(range(count)), ratio)
            shares = []
            for place, weight in emit_line(op, at, size):
                share = op.Unsqueeze(weight, op.ints(1)) if axis == 2 else weight
                shares.append(op.Mul(op.Gather(x, place, axis=axis), share))
            x = op.Add(*shares)
        return x
