"""What layers that pool regions of a map share, whatever they take of a bin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, TypedDict

from typing_extensions import Required

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Asked, Layer
from caffe_layers.base.number import float32
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError

from .region import check_regions


class PooledFields(TypedDict, total=False):
    """What a pooling of regions is told: `PooledRegions`' keywords."""

    pooled_h: Required[int]
    pooled_w: Required[int]
    spatial_scale: float


class PooledRegions(Layer):
    """Base: `pooled_h` x `pooled_w` bins of each region of x, whose sides are `spatial_scale`'s."""

    family = "pooling"
    fixed_bottoms = (1,)
    asks: ClassVar[Mapping[int, Asked]] = {1: "regions"}

    def __init__(self, *, pooled_h: int, pooled_w: int, spatial_scale: float = 1.0) -> None:
        super().__init__()
        self.pooled_h, self.pooled_w = pooled_h, pooled_w
        self.spatial_scale = float32(spatial_scale)
        if min(pooled_h, pooled_w) <= 0:
            raise ShapeError(f"pooled_h {pooled_h} and pooled_w {pooled_w} want 1 or more")

    def shapes(self, x: Shape, rois: Shape) -> list[Shape]:
        return [(check_regions(rois), channels_of(x), self.pooled_h, self.pooled_w)]


def channels_of(x: Shape) -> int:
    """Return a map's channels; raises ShapeError for one without 4 axes."""
    require(len(x) == 4, f"bottom {x} has {len(x)} axes, wants 4: N x C x H x W")
    return x[1]
