"""Layers of makefile/frcnn that take numbers from a JSON file: their shapes alone."""

from __future__ import annotations

from math import prod
from typing import Any

from caffe_layers.base.checks import require
from caffe_layers.base.shape import Shape
from caffe_layers.base.shapes_only import ShapesOnly

KEPT = {"TEST": 300, "TRAIN": 2000}
"""`test_rpn_post_nms_top_n` and `rpn_post_nms_top_n` of the repository's files."""
BATCH = 128
"""`batch_size` of the repository's files."""


class _Configured(ShapesOnly):
    """Base of layers whose anchors, thresholds and counts stand in `examples/FRCNN/config`."""

    reason = "takes its numbers from a JSON file that the definition does not name"
    fix = "--end BLOB ends the network before it, --input-shape TOP=... feeds what it makes"

    def __init__(self, tops: int) -> None:
        super().__init__()
        self.count = tops

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> _Configured:
        return cls(len(layer.top))


class FrcnnProposal(_Configured, type="FrcnnProposal", fork="frcnn", bottoms=3, tops=(1, 2)):
    """Regions K x 5 x 1 x 1 and their scores, of anchors' scores, shifts, and the image's numbers.

    K is what the repository's files keep, 300, in training 2000.

    Errors: ShapeError unless there are 4 shifts for 2 scores; UnsupportedError on running.
    Caffe: makefile/frcnn, src/caffe/FRCNN/frcnn_proposal_layer.cpp
    """

    fixed_bottoms = (0, 1, 2)

    def shapes(self, scores: Shape, shifts: Shape, info: Shape) -> list[Shape]:
        require(len(scores) == 4, f"the scores {scores} have {len(scores)} axes, wants 4")
        wanted = (*scores[:1], 2 * scores[1], *scores[2:])
        require(shifts == wanted, f"the shifts are {shifts}, wants {wanted}")
        _check_image(info)
        kept = KEPT["TRAIN" if self.training else "TEST"]
        tops: list[Shape] = [(kept, 5, 1, 1), (kept, 1, 1, 1)]
        return tops[: self.count]


class FrcnnAnchorTarget(_Configured, type="FrcnnAnchorTarget", fork="frcnn", bottoms=3, tops=4):
    """Labels 1 x 1 x AH x W of the A anchors, and targets and weights 1 x 4A x H x W.

    Errors: ShapeError for scores that are not 2 for each anchor; UnsupportedError on running.
    Caffe: makefile/frcnn, src/caffe/FRCNN/frcnn_anchor_target_layer.cpp
    """

    fixed_bottoms = (0, 1, 2)

    def shapes(self, scores: Shape, boxes: Shape, info: Shape) -> list[Shape]:
        fits = len(scores) == 4 and scores[1] % 2 == 0
        require(fits, f"the scores are {scores}, wants 1 x 2A x H x W")
        _check_image(info)
        anchors, (height, width) = scores[1] // 2, scores[2:]
        return [(1, 1, anchors * height, width), *[(1, 4 * anchors, height, width)] * 3]


class FrcnnProposalTarget(_Configured, type="FrcnnProposalTarget", fork="frcnn", bottoms=2, tops=5):
    """Regions B x 5 x 1 x 1 for training, labels, and targets and weights of 4 for each class.

    B is 128 in the repository's files, and the number of classes 21.

    Errors: UnsupportedError on running.
    Caffe: makefile/frcnn, src/caffe/FRCNN/frcnn_proposal_target_layer.cpp
    """

    fixed_bottoms = (0, 1)

    def shapes(self, rois: Shape, boxes: Shape) -> list[Shape]:
        return [(BATCH, 5, 1, 1), (BATCH, 1, 1, 1), *[(BATCH, 84, 1, 1)] * 3]


def _check_image(info: Shape) -> None:
    require(prod(info) == 3, f"the image's numbers are {info}, wants height, width and scale")
