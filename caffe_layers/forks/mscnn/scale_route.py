"""ScaleRoute, of Cascade R-CNN."""

from __future__ import annotations

from math import sqrt

from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import FLT_MAX, float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from caffe_layers.forks.rcnn.region import check_regions

from .suppressed import emit_or_else

MIDDLE = 256.0
"""What is nearest where neither end of the range is given."""


class ScaleRoute(
    Layer,
    type="ScaleRoute",
    fork="cascade_rcnn",
    param="scale_route_param",
    bottoms=(1, None),
    tops=(1, None),
):
    """Those rows of every bottom whose region has a size from `low_scale` to below `high_scale`.

    The first bottom has the regions, R x 5; a region's size is the root of its area, whose sides
    count the last pixel. Where there is none, it is the region whose size is nearest to the
    range's middle, by the logarithm: its geometric mean, or the end that is given.

    Errors: ShapeError for bottoms of other numbers of rows, and for tops that are more or fewer.
    Caffe: zhaoweicai/cascade-rcnn, src/caffe/layers/scale_route_layer.cpp
    """

    free_axis = 0

    def __init__(self, *, low_scale: float | None = None, high_scale: float | None = None) -> None:
        super().__init__()
        self.low = 0.0 if low_scale is None else float32(low_scale)
        self.high = FLT_MAX if high_scale is None else float32(high_scale)
        given = [float32(scale) for scale in (low_scale, high_scale) if scale is not None]
        self.middle = sqrt(given[0] * given[1]) if len(given) == 2 else (given or [MIDDLE])[0]
        require(self.low <= self.high, f"low_scale {self.low} is above high_scale {self.high}")

    def shapes(self, rois: Shape, *others: Shape) -> list[Shape]:
        rows = check_regions(rois)
        for other in others:
            require(other[0] == rows, f"bottom {other} has {other[0]} rows, wants {rows}")
        return [rois, *others]

    def forward(self, *bottoms: Tensor) -> Tensor | tuple[Tensor, ...]:
        rois = bottoms[0].detach().flatten(1)
        sides = (rois[:, 3:] - rois[:, 1:3] + 1) * (rois[:, 3:] >= rois[:, 1:3]).all(1)[:, None]
        size = sides.prod(1).sqrt()
        chosen = ((size >= self.low) & (size < self.high)).nonzero()[:, 0]
        if not len(chosen):
            chosen = (size / self.middle).log2().abs().argmin(0, keepdim=True)
        tops = tuple(bottom.detach()[chosen] for bottom in bottoms)
        return tops if len(tops) > 1 else tops[0]

    def onnx(self, op: Op, *bottoms: str) -> Values:
        rois = bottoms[0]
        if len(op.shape(rois)) > 2:
            rois = op.Flatten(rois, axis=1)
        low, high = (op.Slice(rois, op.ints(at), op.ints(at + 2), op.ints(1)) for at in (1, 3))
        inner = op.Sub(high, low)
        turned = op.to_float(op.GreaterOrEqual(inner, op.scalar(0)))
        upright = op.reduce("ReduceMin", turned, [1], keepdims=1)
        sides = op.Mul(op.Add(inner, op.scalar(1)), upright)
        size = op.Sqrt(op.reduce("ReduceProd", sides, [1], keepdims=0))
        above = op.GreaterOrEqual(size, op.scalar(self.low))
        inside = op.And(above, op.Less(size, op.scalar(self.high)))
        found = op.Squeeze(op.NonZero(inside), op.ints(0))
        far = op.Abs(op.Log(op.Div(size, op.scalar(self.middle))))
        chosen = emit_or_else(op, found, op.ArgMin(far, axis=0, keepdims=1))
        return [op.Gather(bottom, chosen, axis=0) for bottom in bottoms]
