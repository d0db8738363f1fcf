"""Proposal, in C++: happynear's, and that of the ports of py-faster-rcnn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError, UnsupportedError

from .anchors import Boxes, pixel_anchors, rounded_anchors
from .region_proposal import RegionProposal


class CppProposal(RegionProposal, param="proposal_param"):
    """Base of the C++ layers: regions for the scores and shifts of anchors, from every image.

    Scores are N x 2A x H x W, those of the foreground last, shifts N x 4A x H x W; see
    `RegionProposal`. The A anchors are of each `ratio` every `scale`. A box with a side below
    `min_size` times the image's scale counts 0. The tops are the regions, K x 5: [image, x1, y1,
    x2, y2], `post_nms_topn` at most of each image, and their scores, K. There is no gradient.

    Errors: ShapeError where there are no anchors, or not as many as the maps have channels.
    """

    drops_small = False

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
            self.anchors_of([*map(float32, scale)], [*map(float32, ratio)], base_size),
            feat_stride=feat_stride,
            min_size=min_size,
            nms_thresh=float32(nms_thresh),
            tops=tops,
        )
        self.pre_nms_topn, self.post_nms_topn = pre_nms_topn, post_nms_topn

    @staticmethod
    def anchors_of(scales: Sequence[float], ratios: Sequence[float], base_size: int) -> Boxes:
        """Return the anchors, A x 4."""
        raise NotImplementedError

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> CppProposal:
        return cls(tops=len(layer.top), **cls.fields(layer))

    def kept(self) -> tuple[int, int]:
        return self.pre_nms_topn, self.post_nms_topn

    def score_shape(self, rows: int) -> Shape:
        return (rows,)


class Proposal(CppProposal, type="Proposal", fork="happynear", bottoms=3, tops=(1, 2)):
    """Regions for the scores and shifts of anchors (`CppProposal`), whose `scale` is in pixels.

    The image's numbers are 1 x 4: height, width, and how much larger than the original they are.

    Caffe: happynear/caffe-windows, src/caffe/layers/proposal_layer.cpp
    """

    info_fields = 4
    anchors_of = staticmethod(pixel_anchors)

    @classmethod
    def undecided(cls) -> type[Layer]:
        return ProposalByInfo


class MultipleProposal(CppProposal, type="Proposal", fork="minicaffe", bottoms=3, tops=(1, 2)):
    """Regions for the scores and shifts of anchors (`CppProposal`), as in py-faster-rcnn.

    `scale` multiplies the base box, `base_size` by `base_size`, as py-faster-rcnn's Python layer
    has it; halves are rounded up. There is one image. Its numbers are height, width, and how much
    larger than the original it is: one number (mini-caffe, 1 x 3), or two, of height and width,
    which may stand twice (PVANet, 1 x 6).

    Caffe: luoyetx/mini-caffe, src/layers/proposal_layer.cpp; oylz/caffe-pvanet-shufflenet,
    src/caffe/layers/proposal_layer.cpp
    """

    info_fields = 3

    @staticmethod
    def anchors_of(scales: Sequence[float], ratios: Sequence[float], base_size: int) -> Boxes:
        return rounded_anchors(scales, ratios, base_size, halves_up=True)

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return False  # where no --dialect names it, ProposalByInfo finds it

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> CppProposal:
        made = super().from_caffe(layer, bottoms)
        if len(bottoms[2]) == 2 and bottoms[2][1] > 3:
            made.info_fields = 4
        return made

    def shapes(self, scores: Shape, shifts: Shape, info: Shape) -> list[Shape]:
        require(scores[:1] == (1,), f"the scores {scores} are of several images, wants one")
        return super().shapes(scores, shifts, info)


class ProposalByInfo(Proposal, bottoms=3, tops=(1, 2)):
    """A Proposal of a fork that the width of the image's numbers tells, or nothing does.

    Fields and their numbers are the same in both. 3 or 6 numbers are the ports' of py-faster-rcnn;
    4 happynear's, unless the largest anchor would be no larger than two base boxes.

    Errors: UnsupportedError where both could be meant.
    """

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> CppProposal:
        param, info = layer.proposal_param, bottoms[2]
        width = info[1] if len(info) == 2 else 0
        if width in (3, 6):
            return MultipleProposal.from_caffe(layer, bottoms)
        largest = max(param.scale, default=0)
        if width > 4 or (width == 4 and 0 < largest <= 2 * param.base_size):
            size = param.base_size
            raise UnsupportedError(
                f"the image's numbers are {info}, and scale {largest:g} may be an anchor's side in "
                f"pixels (happynear) or multiply a box of {size} x {size} (py-faster-rcnn's ports)",
                fix="--dialect happynear or --dialect minicaffe; the ports' image has 3 numbers",
            )
        return Proposal.from_caffe(layer, bottoms)
