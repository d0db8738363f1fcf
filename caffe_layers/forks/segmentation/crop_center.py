"""CropCenter, from waifu2x-caffe."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError


class CropCenter(Layer, type="CropCenter", fork="waifu2x", param="crop_center_param"):
    """The middle of a bottom: `crop_size` says for each axis how much goes at either end.

    Errors: ShapeError unless there is one number for each axis, and something is left.
    Caffe: lltcggie/caffe, src/caffe/layers/crop_center_layer.cpp
    """

    def __init__(self, crop_size: Sequence[int]) -> None:
        super().__init__()
        self.crop_size = tuple(crop_size)

    def shapes(self, x: Shape) -> list[Shape]:
        got, axes = len(self.crop_size), len(x)
        require(got == axes, f"crop_size has {got} numbers, wants one for each axis of {x}")
        top = tuple(size - 2 * cut for size, cut in zip(x, self.crop_size, strict=True))
        if min(self.crop_size, default=0) < 0 or min(top, default=1) <= 0:
            raise ShapeError(f"crop_size {self.crop_size} does not fit {x}")
        return [top]

    def forward(self, x: Tensor) -> Tensor:
        ends = (size - cut for size, cut in zip(x.shape, self.crop_size, strict=True))
        return x[tuple(map(slice, self.crop_size, ends))]

    def onnx(self, op: Op, x: str) -> Values:
        cuts = [(axis, cut) for axis, cut in enumerate(self.crop_size) if cut]
        if not cuts:
            return x
        axes, starts = zip(*cuts, strict=True)
        ends = op.ints(*(-cut for cut in starts))
        return op.Slice(x, op.ints(*starts), ends, op.ints(*axes))
