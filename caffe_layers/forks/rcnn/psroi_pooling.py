"""PSROIPooling, the position-sensitive pooling of R-FCN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from caffe_layers.arithmetic.ramp import emit_ramp, ramp
from caffe_layers.base.checks import require
from caffe_layers.base.layer import Asked, Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

from .region import (
    check_regions,
    clipped,
    column,
    emit_one_less,
    emit_one_more,
    emit_rounded,
    images_of,
    rounded,
)

LEAST_SIZE = 0.1


class PSROIPooling(Layer, type="PSROIPooling", fork="rfcn", param="psroi_pooling_param", bottoms=2):
    """`top[r, d, i, j]` = the mean of bin (i, j) of region r in channel `(d * G + i) * G + j` of x.

    x is N x (`output_dim` G G) x H x W with G = `group_size`, the regions are R x 5:
    [n, x1, y1, x2, y2], the top is R x `output_dim` x G x G. A region goes from
    `s = round(y1) * spatial_scale` to `(round(y2) + 1) * spatial_scale`, halves rounded away from
    0, and is 0.1 high at least; bin i of its `size` goes from row `floor(i * (size / G) + s)` to
    `ceil((i + 1) * (size / G) + s)`, the latter not included; columns alike. What lies outside x is
    left out, and an empty bin gives 0. The regions have no gradient.

    Errors: ShapeError for other numbers of channels, and a region of no image.
    Caffe: daijifeng001/caffe-rfcn, src/caffe/layers/psroi_pooling_layer.cu
    """

    family = "pooling"
    fixed_bottoms = (1,)
    asks: ClassVar[Mapping[int, Asked]] = {1: "regions"}

    def __init__(self, *, spatial_scale: float, output_dim: int, group_size: int) -> None:
        super().__init__()
        self.spatial_scale = float32(spatial_scale)
        self.output_dim, self.group_size = output_dim, group_size
        for name, value in (("output_dim", output_dim), ("group_size", group_size)):
            require(value > 0, f"{name} {value} wants 1 or more")

    def shapes(self, x: Shape, rois: Shape) -> list[Shape]:
        require(len(x) == 4, f"bottom {x} has {len(x)} axes, wants 4: N x C x H x W")
        size, dim = self.group_size, self.output_dim
        channels = dim * size * size
        require(
            x[1] == channels,
            f"bottom {x} has {x[1]} channels, wants {channels}: output_dim {dim} for each of "
            f"{size} x {size} bins",
        )
        return [(check_regions(rois), dim, size, size)]

    def forward(self, x: Tensor, rois: Tensor) -> Tensor:
        rois = rois.detach().flatten(1)
        count, _, height, width = x.shape
        size = self.group_size
        image = images_of(rois, count)[:, None] == torch.arange(count, device=x.device)
        rows = self._inside(rois[:, 2], rois[:, 4], height).to(x.dtype)
        columns = self._inside(rois[:, 1], rois[:, 3], width).to(x.dtype)
        maps = x.reshape(count, self.output_dim, size, size, height, width)
        sums = torch.einsum("ndijhw,rjw->ndijhr", maps, columns)
        sums = torch.einsum("ndijhr,rih->ndijr", sums, rows)
        sums = torch.einsum("ndijr,rn->rdij", sums, image.to(x.dtype))
        area = rows.sum(2)[:, None, :, None] * columns.sum(2)[:, None, None, :]
        return sums / area.clamp(min=1)

    def _inside(self, first: Tensor, last: Tensor, limit: int) -> Tensor:
        """Tell for each region and bin which rows, or columns, are in it: R x G x `limit`."""
        start = (rounded(first) * self.spatial_scale)[:, None]
        end = ((rounded(last) + 1) * self.spatial_scale)[:, None]
        size = (end - start).clamp(min=LEAST_SIZE) / self.group_size
        index = ramp(size, self.group_size)
        low = clipped((index * size + start).floor(), limit)[..., None]
        high = clipped(((index + 1) * size + start).ceil(), limit)[..., None]
        at = torch.arange(limit, device=first.device)
        return (at >= low) & (at < high)

    def onnx(self, op: Op, x: str, rois: str) -> Values:
        size = self.group_size
        if len(op.shape(rois)) > 2:
            rois = op.Flatten(rois, axis=1)
        rois = emit_one_more(op, rois)
        sizes = op.Shape(x)
        image = op.Equal(column(op, rois, 0), emit_ramp(op, x, 0))
        masks = [self._emit_inside(op, rois, axis, emit_ramp(op, x, axis)) for axis in (2, 3)]
        sixth = op.Concat(
            op.Slice(sizes, op.ints(0), op.ints(1)),
            op.ints(self.output_dim, size, size),
            op.Slice(sizes, op.ints(2), op.ints(4)),
            axis=0,
        )
        maps = op.Reshape(x, sixth)
        sums = op.Einsum(maps, masks[1], equation="ndijhw,rjw->ndijhr")
        sums = op.Einsum(sums, masks[0], equation="ndijhr,rih->ndijr")
        chosen = op.to_float(image)
        sums = op.Einsum(sums, chosen, equation="ndijr,rn->rdij")
        heights, widths = (
            op.Unsqueeze(op.ReduceSum(mask, op.ints(2), keepdims=0), axes)
            for mask, axes in zip(masks, (op.ints(1, 3), op.ints(1, 2)), strict=True)
        )
        area = op.Max(op.Mul(heights, widths), op.scalar(1))
        return emit_one_less(op, op.Div(sums, area))

    def _emit_inside(self, op: Op, rois: str, axis: int, index: str) -> str:
        first, last = (2, 4) if axis == 2 else (1, 3)
        scale = op.scalar(self.spatial_scale)
        start = emit_rounded(op, column(op, rois, first))
        start = op.Mul(start, scale)
        end = emit_rounded(op, column(op, rois, last))
        end = op.Mul(op.Add(end, op.scalar(1)), scale)
        size = op.Max(op.Sub(end, start), op.scalar(LEAST_SIZE))
        size = op.Div(size, op.scalar(self.group_size))
        sides = []
        for way in (0, 1):
            steps = op.floats(range(way, self.group_size + way))
            edge = op.Add(op.Mul(size, steps), start)
            edge = (op.Ceil if way else op.Floor)(edge)
            sides.append(op.Unsqueeze(edge, op.ints(2)))
        inside = op.And(op.GreaterOrEqual(index, sides[0]), op.Less(index, sides[1]))
        return op.to_float(inside)
