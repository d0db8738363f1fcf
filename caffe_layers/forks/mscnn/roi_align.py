"""ROIAlign, of MS-CNN and Cascade R-CNN."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from caffe_layers.arithmetic.ramp import ramp
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from caffe_layers.forks.rcnn.pooled_regions import PooledRegions, channels_of
from caffe_layers.forks.rcnn.region import check_regions, column, images_of

from .margin import emit_enlarged, enlarged


class ROIAlign(PooledRegions, type="ROIAlign", fork="mscnn", param="roi_pooling_param", bottoms=2):
    """x at the corners of a region's bins: R x C x (pooled_h + 1) x (pooled_w + 1).

    It pools nothing: that is left to the Pooling behind it. A region goes from `y1` to `y2`, with a
    margin of `pad_ratio` times `y2 - y1 + 1`, in pixels `1 / spatial_scale` apart of which the
    first has its centre at half; corner i lies `i / pooled_h` of the way. Between pixels x is
    bilinear, within half a pixel of the edge it is the edge's, and beyond it 0; so are regions
    without a height or a width. The regions have no gradient.

    Errors: ShapeError for a pooled size of 0, x without 4 axes, and a region of no image.
    Caffe: zhaoweicai/cascade-rcnn, src/caffe/layers/roi_align_layer.cpp
    """

    def __init__(
        self, *, pooled_h: int, pooled_w: int, spatial_scale: float = 1.0, pad_ratio: float = 0.0
    ) -> None:
        super().__init__(pooled_h=pooled_h, pooled_w=pooled_w, spatial_scale=spatial_scale)
        self.pad_ratio = float32(pad_ratio)

    def shapes(self, x: Shape, rois: Shape) -> list[Shape]:
        return [(check_regions(rois), channels_of(x), self.pooled_h + 1, self.pooled_w + 1)]

    def forward(self, x: Tensor, rois: Tensor) -> Tensor:
        rois = rois.detach().flatten(1)
        images, channels, height, width = x.shape
        regions = enlarged(rois, self.pad_ratio)[:, 1:] * self.spatial_scale - 0.5
        flat = x.permute(0, 2, 3, 1).reshape(-1, channels)
        first = (images_of(rois, images) * height)[:, None]
        rows = self._along(regions[:, 1], regions[:, 3], self.pooled_h, height)
        columns = self._along(regions[:, 0], regions[:, 2], self.pooled_w, width)
        full = ((regions[:, 2:] > regions[:, :2]).all(1))[:, None]
        places, weights = [], []
        for row, down in ((rows[0], rows[2]), (rows[1], rows[3])):
            for place, across in ((columns[0], columns[2]), (columns[1], columns[3])):
                places.append((first + row)[:, :, None] * width + place[:, None])
                weights.append((down * full)[:, :, None] * across[:, None])
        # Four pixels of each corner, weighed and added at once.
        four = torch.stack(places, -1).reshape(-1, 4)
        shares = torch.stack(weights, -1).reshape(-1, 4).to(x)
        top = F.embedding_bag(four, flat, mode="sum", per_sample_weights=shares)
        shape = (len(rois), self.pooled_h + 1, self.pooled_w + 1, channels)
        return top.view(shape).permute(0, 3, 1, 2)

    def _along(
        self, start: Tensor, end: Tensor, count: int, size: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return each corner's two pixels along an axis, R x (count + 1), and their weights."""
        at = start[:, None] + ramp(start, count + 1) * ((end - start) / count)[:, None]
        inside = ((at >= -0.5) & (at <= size - 0.5)).to(at)
        low = at.floor().clamp(0, size - 1)
        high = (at.floor() + 1).clamp(0, size - 1)
        rest = (at.clamp(0, size - 1) - low) * inside
        return low.long(), high.long(), inside - rest, rest

    def onnx(self, op: Op, x: str, rois: str) -> Values:
        if len(op.shape(rois)) > 2:
            rois = op.Flatten(rois, axis=1)
        large = emit_enlarged(op, rois, self.pad_ratio)
        regions = op.Sub(op.Mul(large, op.scalar(self.spatial_scale)), op.scalar(0.5))
        sizes = op.Shape(x)
        height, width = (op.Slice(sizes, op.ints(axis), op.ints(axis + 1)) for axis in (2, 3))
        channels = op.shape(x)[1]
        flat = op.Reshape(op.Transpose(x, perm=[0, 2, 3, 1]), op.ints(-1, channels))
        first = op.Mul(op.to_int(column(op, rois, 0)), height)
        rows = self._emit_along(op, regions, (2, 4), self.pooled_h, height)
        columns = self._emit_along(op, regions, (1, 3), self.pooled_w, width)
        full = op.Mul(rows[4], columns[4])
        top = ""
        for row, down in ((rows[0], rows[2]), (rows[1], rows[3])):
            line = op.Unsqueeze(op.Mul(op.Add(first, row), width), op.ints(2))
            weight = op.Unsqueeze(op.Mul(down, full), op.ints(2))
            for place, across in ((columns[0], columns[2]), (columns[1], columns[3])):
                at = op.Add(line, op.Unsqueeze(place, op.ints(1)))
                share = op.Mul(weight, op.Unsqueeze(across, op.ints(1)))
                value = op.Mul(op.Gather(flat, at, axis=0), op.Unsqueeze(share, op.ints(3)))
                top = op.Add(top, value) if top else value
        return op.Transpose(top, perm=[0, 3, 1, 2])

    def _emit_along(
        self, op: Op, regions: str, ends: tuple[int, int], count: int, size: str
    ) -> tuple[str, str, str, str, str]:
        """Append what `_along` does, and 1 for the regions that have this side."""
        start, end = (column(op, regions, at) for at in ends)
        side = op.Sub(end, start)
        step = op.Div(side, op.scalar(count))
        at = op.Add(start, op.Mul(step, op.floats(range(count + 1))))
        last = op.to_float(op.Sub(size, op.ints(1)))
        least = op.GreaterOrEqual(at, op.scalar(-0.5))
        inside = op.And(least, op.LessOrEqual(at, op.Add(last, op.scalar(0.5))))
        floor, zero = op.Floor(at), op.scalar(0)
        low = op.Min(op.Max(floor, zero), last)
        high = op.Min(op.Max(op.Add(floor, op.scalar(1)), zero), last)
        weight = op.to_float(inside)
        rest = op.Mul(op.Sub(op.Min(op.Max(at, zero), last), low), weight)
        full = op.to_float(op.Greater(side, zero))
        return op.to_int(low), op.to_int(high), op.Sub(weight, rest), rest, full
