"""RotateROIPooling, of RRPN."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from caffe_layers.arithmetic.ramp import emit_ramp, ramp
from caffe_layers.base.checks import legacy_shape, require
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from caffe_layers.forks.rcnn.region import (
    column,
    emit_one_less,
    emit_one_more,
    images_of,
)
from prototxt.errors import ShapeError

PI = 3.1415926535
"""As the fork has it."""
NUMBERS = 6


class RotateROIPooling(
    Layer, type="RotateROIPooling", fork="rrpn", param="rotate_pooling_param", bottoms=3
):
    """`top[r, c, i, j]` = the largest value of `x[n, c]` in bin (i, j) of rotated region r, or 0.

    x is N x C x H x W, the regions are R x 6: [n, centre's x, its y, height, width, angle], the
    latter in degrees, and the third bottom holds the image's height and width. A region is
    multiplied by `spatial_scale` and cut into `pooled_h` x `pooled_w` equal bins; the way down a
    bin is that of the region's height, turned by the angle. A bin holds the pixels whose place is
    inside, its first edges included and its last ones not, and what lies beyond the image, whose
    sides are `round(side * spatial_scale)`, is left out. Values below 0 never win. Of equal ones
    the first has the gradient; the other bottoms have none.

    Errors: ShapeError for a pooled size of 0, x without 4 axes, and a region of no image.
    Caffe: mjq11302010044/RRPN, caffe-fast-rcnn/src/caffe/layers/rotate_roi_pooling_layer.cu
    """

    family = "pooling"
    fixed_bottoms = (1, 2)

    def __init__(self, *, pooled_h: int, pooled_w: int, spatial_scale: float = 1.0) -> None:
        super().__init__()
        self.pooled_h, self.pooled_w = pooled_h, pooled_w
        self.spatial_scale = float32(spatial_scale)
        if min(pooled_h, pooled_w) <= 0:
            raise ShapeError(f"pooled_h {pooled_h} and pooled_w {pooled_w} want 1 or more")

    def shapes(self, x: Shape, rois: Shape, info: Shape) -> list[Shape]:
        require(len(x) == 4, f"bottom {x} has {len(x)} axes, wants 4: N x C x H x W")
        rows, *rest = legacy_shape(rois, "the regions' bottom")
        if rest != [NUMBERS, 1, 1]:
            raise ShapeError(
                f"the regions are {rois}, wants R x 6: image, x, y, height, width, angle"
            )
        require(len(info) == 2 and info[1] >= 2, f"the image's numbers are {info}, wants 1 x 2")
        return [(rows, x[1], self.pooled_h, self.pooled_w)]

    def forward(self, x: Tensor, rois: Tensor, info: Tensor) -> Tensor:
        rois = rois.detach().flatten(1)
        images, channels, height, width = x.shape
        image = images_of(rois, images)
        region, place, cell = self._inside(rois, self._sides(info.detach(), height, width), x)
        bins = self.pooled_h * self.pooled_w
        at = image[region] * (height * width) + place
        flat = x.permute(0, 2, 3, 1).reshape(-1, channels)
        values = flat.detach()[at]
        to = (region * bins + cell)[:, None].expand(-1, channels)
        best = x.new_zeros(len(rois) * bins, channels)
        best = best.scatter_reduce(0, to, values, "amax")
        # The first place of the largest value, in the order of the map.
        none = images * height * width
        wins = (values == best.gather(0, to)) & (values > 0)
        places = torch.where(wins, at[:, None], none)
        first = torch.full_like(best, none, dtype=torch.long)
        first = first.scatter_reduce(0, to, places, "amin")
        padded = torch.cat((flat, flat.new_zeros(1, channels)))
        return (
            padded.gather(0, first)
            .reshape(-1, self.pooled_h, self.pooled_w, channels)
            .permute(0, 3, 1, 2)
        )

    def _sides(self, info: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Return the image's height and width on the map, as far as the map goes."""
        sides = (info[0, :2] * self.spatial_scale + 0.5).trunc()
        return sides[0].clamp(max=height), sides[1].clamp(max=width)

    def _axes(self, rois: Tensor) -> tuple[Tensor, ...]:
        """Return R x 2 each: a bin's way across, its way down, and the first bin's corner."""
        angle = rois[:, 5] / 180 * PI
        across, down = (
            rois[:, at] * self.spatial_scale / count
            for at, count in ((4, self.pooled_w), (3, self.pooled_h))
        )
        cos, sin = angle.cos(), angle.sin()
        right = torch.stack((cos * across, -sin * across), 1)
        below = torch.stack((sin * down, cos * down), 1)
        centre = rois[:, 1:3] * self.spatial_scale
        corner = right * (-self.pooled_w / 2) + below * (-self.pooled_h / 2) + centre
        return right, below, corner

    def _inside(
        self, rois: Tensor, sides: tuple[Tensor, Tensor], x: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return which region holds which place in which of its bins, one row for each."""
        height, width = x.shape[2:]
        right, below, corner = self._axes(rois)
        across, down = ramp(x, width).expand(height, -1), ramp(x, height)[:, None].expand(-1, width)
        seen = (across < sides[1]) & (down < sides[0])
        places = torch.stack((across, down), -1).reshape(-1, 2)
        away = places - corner[:, None]
        guess = [
            (((away * way[:, None]).sum(-1)) / (way * way).sum(-1, keepdim=True)).nan_to_num()
            for way in (below, right)
        ]
        nearest = [
            part.clamp(0, count - 1).floor()
            for part, count in zip(guess, (self.pooled_h, self.pooled_w), strict=True)
        ]
        found = []
        # A float may put what lies on an edge into the bin beside it: each is asked exactly.
        for i in (-1, 0, 1):
            for j in (-1, 0, 1):
                row, col = nearest[0] + i, nearest[1] + j
                exists = (row >= 0) & (row < self.pooled_h) & (col >= 0) & (col < self.pooled_w)
                start = [
                    right[:, None, at] * col + below[:, None, at] * row + corner[:, None, at]
                    for at in (0, 1)
                ]
                aside = [places[:, at] - start[at] for at in (0, 1)]
                holds = exists & seen.flatten()
                for way in (right, below):
                    along = sum(way[:, None, at] * aside[at] for at in (0, 1))
                    whole = (way * way).sum(-1, keepdim=True)
                    holds &= (along >= 0) & (along < whole)
                region, place = holds.nonzero(as_tuple=True)
                cell = (row * self.pooled_w + col)[region, place].long()
                found.append((region, place, cell))
        region, place, cell = (torch.cat(part) for part in zip(*found, strict=True))
        return region, place, cell

    def onnx(self, op: Op, x: str, rois: str, info: str) -> Values:
        channels = op.shape(x)[1]
        if len(op.shape(rois)) > 2:
            rois = op.Flatten(rois, axis=1)
        rois = emit_one_more(op, rois, NUMBERS)
        flat = op.Reshape(op.Transpose(x, perm=[0, 2, 3, 1]), op.ints(-1, channels))
        places, seen = self._emit_places(op, x, info)
        right, below, corner = self._emit_axes(op, rois)
        rows, columns = np.divmod(np.arange(self.pooled_h * self.pooled_w), self.pooled_w)
        shift = op.Add(
            op.Mul(right, op.const(columns.astype(op.float_type)[:, None])),
            op.Mul(below, op.const(rows.astype(op.float_type)[:, None])),
        )
        start = op.Add(shift, corner)  # R x bins x 2
        zeros = op.Mul(start, op.scalar(0))
        image = op.Add(op.Unsqueeze(column(op, rois, 0), op.ints(2)), zeros)
        ways = [op.Add(way, zeros) for way in (right, below)]
        cells = [op.Reshape(part, op.ints(-1, 2)) for part in (image, start, *ways)]
        height_width = op.Slice(op.Shape(x), op.ints(2), op.ints(4), op.ints(0))
        area = op.reduce("ReduceProd", height_width, [0], keepdims=1)
        none = op.array("nothing", np.zeros((1, channels)))

        def step(image: str, start: str, *ways: str) -> tuple[str, ...]:
            aside = op.Sub(places, start)
            holds = seen
            for way in ways:
                along = op.reduce("ReduceSum", op.Mul(aside, way), [1], keepdims=0)
                whole = op.reduce("ReduceSum", op.Mul(way, way), [0], keepdims=1)
                inside = op.GreaterOrEqual(along, op.scalar(0))
                holds = op.And(holds, op.And(inside, op.Less(along, whole)))
            found = op.Reshape(op.NonZero(holds), op.ints(-1))
            first = op.Mul(op.to_int(op.Slice(image, op.ints(0), op.ints(1), op.ints(0))), area)
            values = op.Gather(flat, op.Add(found, first), axis=0)
            values = op.Concat(values, none, axis=0)
            return (op.reduce("ReduceMax", values, [0], keepdims=0),)

        (best,) = op.scan(step, (), cells, stacked=1, ranks=(1,))
        shape = op.ints(-1, self.pooled_h, self.pooled_w, channels)
        top = op.Transpose(op.Reshape(best, shape), perm=[0, 3, 1, 2])
        return emit_one_less(op, top)

    def _emit_places(self, op: Op, x: str, info: str) -> tuple[str, str]:
        """Append the places of the map, (H W) x 2, and which of them the image has, H W."""
        sides = op.Slice(op.Reshape(info, op.ints(-1)), op.ints(0), op.ints(2), op.ints(0))
        scaled = op.Add(op.Mul(sides, op.scalar(self.spatial_scale)), op.scalar(0.5))
        sides = op.Floor(scaled)
        down, across = (
            op.Unsqueeze(emit_ramp(op, x, axis), op.ints(beside))
            for axis, beside in ((2, 1), (3, 0))
        )
        seen = [
            op.Less(way, op.Slice(sides, op.ints(at), op.ints(at + 1), op.ints(0)))
            for at, way in enumerate((down, across))
        ]
        wide = [
            op.Reshape(op.Add(way, op.Mul(other, op.scalar(0))), op.ints(-1, 1))
            for way, other in ((across, down), (down, across))
        ]
        return op.Concat(*wide, axis=1), op.Reshape(op.And(*seen), op.ints(-1))

    def _emit_axes(self, op: Op, rois: str) -> tuple[str, str, str]:
        """Append what `_axes` does, R x 1 x 2 each."""
        scale = op.scalar(self.spatial_scale)
        angle = op.Mul(op.Div(column(op, rois, 5), op.scalar(180)), op.scalar(PI))
        across, down = (
            op.Div(op.Mul(column(op, rois, at), scale), op.scalar(count))
            for at, count in ((4, self.pooled_w), (3, self.pooled_h))
        )
        cos, sin = op.Cos(angle), op.Sin(angle)
        right = op.Concat(op.Mul(cos, across), op.Neg(op.Mul(sin, across)), axis=1)
        below = op.Concat(op.Mul(sin, down), op.Mul(cos, down), axis=1)
        centre = op.Mul(op.Slice(rois, op.ints(1), op.ints(3), op.ints(1)), scale)
        back = op.Add(
            op.Mul(right, op.scalar(-self.pooled_w / 2)),
            op.Mul(below, op.scalar(-self.pooled_h / 2)),
        )
        corner = op.Add(back, centre)
        one = op.ints(1)
        return op.Unsqueeze(right, one), op.Unsqueeze(below, one), op.Unsqueeze(corner, one)
