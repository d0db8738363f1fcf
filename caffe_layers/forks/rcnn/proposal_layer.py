"""The Python layer `rpn.proposal_layer.ProposalLayer` of py-faster-rcnn, without its Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from caffe_layers.base.checks import require
from caffe_layers.base.shape import Shape
from caffe_layers.data.param_str import read_param_str
from caffe_layers.data.python import register_python
from prototxt.errors import ShapeError

from .anchors import rounded_anchors
from .region_proposal import RegionProposal

KEPT = {"TRAIN": (12000, 2000), "TEST": (6000, 300)}
"""RPN_PRE_NMS_TOP_N and RPN_POST_NMS_TOP_N."""
SCALES = (8, 16, 32)
RATIOS = (0.5, 1, 2)
CURVES = "{'feat_stride': 16, 'scales': [4, 8, 16, 22], 'ratios': [0.25, 0.5, 2]}"
"""Yuliang-Liu/Curve-Text-Detector at 2126a66, lib/rpn/proposal_layer.py, generate_anchors.py."""


@register_python("rpn.proposal_layer", "ProposalLayer")
class ProposalLayer(RegionProposal, bottoms=3, tops=(1, 2)):
    """Regions for the scores and shifts of anchors (`RegionProposal`), from one image.

    Scores are 1 x 2A x H x W, those of the foreground last, shifts 1 x 4A x H x W, and the image's
    numbers 1 x 3: height, width and how much larger than the original it is. `feat_stride`,
    `scales`, `ratios` and `base_size` come from `param_str`; the rest are the settings that
    py-faster-rcnn ships (`fast_rcnn.config`): of the boxes with 16 original pixels a side or more,
    the best 6000 (12000 in training) go into the suppression at 0.7, and 300 (2000) come out at
    most. The tops are the regions, K x 5: [0, x1, y1, x2, y2], and their scores, K x 1. There is no
    gradient.

    Errors: ShapeError for more than one image, and where the maps are not the anchors'.
    Caffe: rbgirshick/py-faster-rcnn, lib/rpn/proposal_layer.py
    """

    drops_small = True
    info_fields = 3

    def __init__(
        self,
        *,
        feat_stride: int,
        scales: Sequence[float] = SCALES,
        ratios: Sequence[float] = RATIOS,
        base_size: int = 16,
        tops: int = 1,
    ) -> None:
        anchors = rounded_anchors(scales, ratios, base_size)
        super().__init__(anchors, feat_stride=feat_stride, min_size=16, nms_thresh=0.7, tops=tops)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> ProposalLayer:
        known = ("feat_stride", "scales", "ratios", "base_size")
        param = read_param_str(layer.python_param.param_str, known)
        require("feat_stride" in param, "param_str has no feat_stride")
        return cls(**param, tops=len(layer.top))

    def shapes(self, scores: Shape, shifts: Shape, info: Shape) -> list[Shape]:
        require(scores[:1] == (1,), f"the scores {scores} are of several images, wants one")
        anchors = len(self.anchors)
        if len(scores) == 4 and scores[1] != 2 * anchors:
            raise ShapeError(
                f"the scores {scores} have {scores[1]} channels, wants {2 * anchors}: 2 for each "
                f"of {anchors} anchors",
                fix="say in param_str which anchors the code beside the file makes, such as "
                f'"{CURVES}", Curve-Text-Detector\'s 12',
            )
        return super().shapes(scores, shifts, info)

    def kept(self) -> tuple[int, int]:
        return KEPT["TRAIN" if self.training else "TEST"]

    def score_shape(self, rows: int) -> Shape:
        return (rows, 1)
