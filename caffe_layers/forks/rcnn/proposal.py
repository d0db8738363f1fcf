"""Proposal, in C++."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from caffe_layers.base.checks import require
from caffe_layers.base.number import float32
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError

from .anchors import pixel_anchors
from .region_proposal import RegionProposal


class Proposal(
    RegionProposal,
    type="Proposal",
    fork="happynear",
    param="proposal_param",
    bottoms=3,
    tops=(1, 2),
):
    """Regions for the scores and shifts of anchors (`RegionProposal`), from every image.

    Scores are N x 2A x H x W, those of the foreground last, shifts N x 4A x H x W, and the image's
    numbers 1 x 4: height, width, and how much larger than the original they are. The A anchors are
    of each `ratio` every `scale`, a side in pixels. A box with a side below `min_size` times the
    scale counts 0. The tops are the regions, K x 5: [image, x1, y1, x2, y2], `post_nms_topn` at
    most of each image, and their scores, K. There is no gradient.

    Errors: ShapeError where there are no anchors, or not as many as the maps have channels.
    Caffe: happynear/caffe-windows, src/caffe/layers/proposal_layer.cpp
    """

    drops_small = False
    info_fields = 4

    def __init__(
        self,
        *,
        ratio: Sequence[float],
        scale: Sequence[float],
        feat_stride: int = 16,
        base_size: int = 16,
        min_size: int = 16,
        pre_nms_topn: int = 6000,
        post_nms_topn: int = 300,
        nms_thresh: float = 0.7,
        tops: int = 1,
    ) -> None:
        require(len(ratio) > 0 and len(scale) > 0, "no ratio or no scale, wants one of each")
        if not min(*ratio, *scale) > 0:
            raise ShapeError(f"ratio {list(ratio)} and scale {list(scale)} want to be above 0")
        least = min(pre_nms_topn, post_nms_topn)
        require(least > 0, f"pre_nms_topn and post_nms_topn want 1 or more, got {least}")
        super().__init__(
            pixel_anchors([*map(float32, scale)], [*map(float32, ratio)], base_size),
            feat_stride=feat_stride,
            min_size=min_size,
            nms_thresh=float32(nms_thresh),
            tops=tops,
        )
        self.pre_nms_topn, self.post_nms_topn = pre_nms_topn, post_nms_topn

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Proposal:
        return cls(tops=len(layer.top), **cls.fields(layer))

    def kept(self) -> tuple[int, int]:
        return self.pre_nms_topn, self.post_nms_topn

    def score_shape(self, rows: int) -> Shape:
        return (rows,)
