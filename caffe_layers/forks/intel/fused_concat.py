"""Concat with the Permute and Flatten of its bottoms fused in, from intel/caffe."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from caffe_layers.base.checks import require
from caffe_layers.base.shape import Shape
from caffe_layers.base.shapes_only import ShapesOnly


class FusedConcat(ShapesOnly, type="Concat", fork="intel", bottoms=(1, None)):
    """SSD's heads N x C x H x W as rows N x (all their values): shapes alone.

    `per_fla_fuse` leaves the Permute and Flatten in front of a Concat out of the definition.

    Errors: ShapeError for heads of unequal batches; UnsupportedError on running.
    Caffe: intel/caffe, src/caffe/layers/mkldnn_concat_layer.cpp
    """

    reason = (
        "is fused with Permute and Flatten layers that the definition no longer names: take the "
        "definition that it was made from"
    )

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        param = layer.concat_param
        return "per_fla_fuse" in param.DESCRIPTOR.fields_by_name and bool(param.per_fla_fuse)

    def shapes(self, *bottoms: Shape) -> list[Shape]:
        batch = bottoms[0][0]
        for x in bottoms:
            require(len(x) == 4, f"bottom {x} has {len(x)} axes, wants 4")
            require(x[0] == batch, f"bottom {x} has {x[0]} samples, the first has {batch}")
        return [(batch, sum(prod(x[1:]) for x in bottoms))]
