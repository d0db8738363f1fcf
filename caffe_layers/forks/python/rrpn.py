"""RRPN's Python layers: py-faster-rcnn's for boxes that are turned, of five numbers each.

Caffe: mjq11302010044/RRPN
"""

from __future__ import annotations

from typing import Any

from caffe_layers.base.checks import require
from caffe_layers.base.shape import Shape
from caffe_layers.data.fed import Fed
from caffe_layers.data.param_str import read_param_str
from caffe_layers.data.python import PythonShapes, register_python
from caffe_layers.forks.rcnn.proposal_layer import KEPT

NUMBERS = 5
"""Centre, height, width and angle."""
TURNED = 18
"""Anchors of each scale: 3 ratios at 6 angles."""


@register_python("rotation.rlayer", "RoIDataLayer")
class TurnedRoIData(Fed, bottoms=0, tops=3):
    """The image 1 x 3 x 600 x 1000, its numbers 1 x 3 and its boxes 1 x 5, which are fed.

    The shapes are those that the code starts with.

    Caffe: mjq11302010044/RRPN, lib/rotation/rlayer.py
    """

    assumed = True

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> TurnedRoIData:
        return cls((1, 3, 600, 1000), (1, 3), (1, NUMBERS))


class _Anchored(PythonShapes):
    """Base: of anchors of `scales`, three where none are given."""

    fixed_bottoms = (0, 1, 2, 3)

    def __init__(self, *, scales: int = 3, tops: int = 1) -> None:
        super().__init__()
        self.anchors, self.count = TURNED * scales, tops

    @classmethod
    def read(cls, layer: Any) -> dict[str, Any]:
        known = ("feat_stride", "scales", "allowed_border")
        param = read_param_str(layer.python_param.param_str, known)
        scales = len(param["scales"]) if "scales" in param else 3
        return {"scales": scales, "tops": len(layer.top)}

    def check_scores(self, scores: Shape) -> None:
        wanted = 2 * self.anchors
        require(
            len(scores) == 4 and scores[:2] == (1, wanted),
            f"the scores are {scores}, wants 1 x {wanted} x H x W: 2 for each anchor",
        )


@register_python("rotation.rproposal_layer", "ProposalLayer")
class TurnedProposal(_Anchored, bottoms=3, tops=(1, 2)):
    """Turned regions K x 6, and their scores K x 1: shapes alone, K being what is kept at most.

    Errors: ShapeError for scores of other anchors; UnsupportedError on running.
    Caffe: mjq11302010044/RRPN, lib/rotation/rproposal_layer.py
    """

    def shapes(self, scores: Shape, shifts: Shape, info: Shape) -> list[Shape]:
        self.check_scores(scores)
        kept = KEPT["TRAIN" if self.training else "TEST"][1]
        regions: Shape = (kept, NUMBERS + 1)
        return [regions, (kept, 1)][: self.count]


@register_python("rotation.anchor_target_layer", "AnchorTargetLayer")
class TurnedAnchorTarget(_Anchored, bottoms=4, tops=4):
    """Labels 1 x 1 x AH x W and targets and weights 1 x 5A x H x W of anchors: shapes alone.

    Errors: ShapeError for scores of other anchors; UnsupportedError on running.
    Caffe: mjq11302010044/RRPN, lib/rotation/anchor_target_layer.py
    """

    def shapes(self, scores: Shape, *others: Shape) -> list[Shape]:
        self.check_scores(scores)
        height, width = scores[2:]
        targets = (1, NUMBERS * self.anchors, height, width)
        return [(1, 1, self.anchors * height, width), targets, targets, targets]


@register_python("rotation.rproposal_target_layer", "ProposalTargetLayer")
class TurnedProposalTarget(PythonShapes, bottoms=2, tops=5):
    """Regions, labels, and targets and weights of 5 C numbers: shapes alone, of one region.

    Errors: UnsupportedError on running.
    Caffe: mjq11302010044/RRPN, lib/rotation/rproposal_target_layer.py
    """

    fixed_bottoms = (0, 1)

    def __init__(self, *, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes

    @classmethod
    def read(cls, layer: Any) -> dict[str, Any]:
        param = read_param_str(layer.python_param.param_str, ("num_classes",))
        require("num_classes" in param, "param_str has no num_classes")
        return param

    def shapes(self, rois: Shape, boxes: Shape) -> list[Shape]:
        targets = (1, NUMBERS * self.num_classes)
        return [(1, NUMBERS + 1), (1, 1), targets, targets, targets]
