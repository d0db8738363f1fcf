"""ROIWarping, of MNC."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.arithmetic.ramp import ramp
from caffe_layers.base.op import Op, Values
from caffe_layers.forks.rcnn.pooled_regions import PooledRegions
from caffe_layers.forks.rcnn.region import (
    column,
    emit_rounded,
    images_of,
    rounded,
)

from .resampling import emit_line, line


class ROIWarping(
    PooledRegions, type="ROIWarping", fork="mnc", param="roi_warping_param", bottoms=2
):
    """x at the corners of a region's bins, R x C x pooled_h x pooled_w, bilinear between pixels.

    A region goes from `round(y1 * spatial_scale)` to `round(y2 * spatial_scale)`, halves rounded
    away from 0, and corner i lies `i / pooled_h` of the way; columns alike. Within half a pixel of
    the edge x is the edge's, and beyond it 0. The regions have no gradient here: the fork's is
    that of other corners than it reads.

    Errors: ShapeError for a pooled size of 0, x without 4 axes, and a region of no image.
    Caffe: daijifeng001/caffe-mnc, src/caffe/layers/roi_warping_layer.cu
    """

    def forward(self, x: Tensor, rois: Tensor) -> Tensor:
        rois = rois.detach().flatten(1)
        images, channels, height, width = x.shape
        flat = x.permute(0, 2, 3, 1).reshape(-1, channels)
        first = (images_of(rois, images) * height)[:, None]
        rows = line(self._corners(rois[:, 2], rois[:, 4], self.pooled_h), height)
        columns = line(self._corners(rois[:, 1], rois[:, 3], self.pooled_w), width)
        top = x.new_zeros(())
        for row, down in rows:
            for place, across in columns:
                at = (first + row)[:, :, None] * width + place[:, None]
                weight = down[:, :, None] * across[:, None]
                top = top + flat[at] * weight[..., None]
        return top.permute(0, 3, 1, 2)

    def _corners(self, start: Tensor, end: Tensor, count: int) -> Tensor:
        """Return where each corner lies along an axis, R x count."""
        low, high = (rounded(edge * self.spatial_scale) for edge in (start, end))
        size = (high - low).clamp(min=0) / count
        return low[:, None] + ramp(low, count) * size[:, None]

    def onnx(self, op: Op, x: str, rois: str) -> Values:
        if len(op.shape(rois)) > 2:
            rois = op.Flatten(rois, axis=1)
        sizes = op.Shape(x)
        height, width = (op.Slice(sizes, op.ints(axis), op.ints(axis + 1)) for axis in (2, 3))
        flat = op.Reshape(op.Transpose(x, perm=[0, 2, 3, 1]), op.ints(-1, op.shape(x)[1]))
        first = op.Mul(op.to_int(column(op, rois, 0)), height)
        rows = emit_line(op, self._emit_corners(op, rois, (2, 4), self.pooled_h), height)
        columns = emit_line(op, self._emit_corners(op, rois, (1, 3), self.pooled_w), width)
        top = ""
        for row, down in rows:
            begin = op.Unsqueeze(op.Mul(op.Add(first, row), width), op.ints(2))
            weight = op.Unsqueeze(down, op.ints(2))
            for place, across in columns:
                at = op.Add(begin, op.Unsqueeze(place, op.ints(1)))
                share = op.Mul(weight, op.Unsqueeze(across, op.ints(1)))
                value = op.Mul(op.Gather(flat, at, axis=0), op.Unsqueeze(share, op.ints(3)))
                top = op.Add(top, value) if top else value
        return op.Transpose(top, perm=[0, 3, 1, 2])

    def _emit_corners(self, op: Op, rois: str, ends: tuple[int, int], count: int) -> str:
        """Append what `_corners` does."""
        scale = op.scalar(self.spatial_scale)
        low, high = (emit_rounded(op, op.Mul(column(op, rois, at), scale)) for at in ends)
        size = op.Div(op.Max(op.Sub(high, low), op.scalar(0)), op.scalar(count))
        return op.Add(low, op.Mul(size, op.floats(range(count))))
