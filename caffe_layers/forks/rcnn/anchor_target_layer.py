"""The Python layer `rpn.anchor_target_layer.AnchorTargetLayer` of py-faster-rcnn."""

from __future__ import annotations

from typing import Any, ClassVar

from caffe_layers.base.checks import require
from caffe_layers.base.shape import Shape
from caffe_layers.base.shapes_only import ShapesOnly
from caffe_layers.data.param_str import read_param_str
from caffe_layers.data.python import register_python


@register_python("rpn.anchor_target_layer", "AnchorTargetLayer")
class AnchorTargetLayer(ShapesOnly, bottoms=4, tops=4):
    """Labels and targets of anchors for training: shapes alone.

    For scores 1 x 2A x H x W the tops are the labels, 1 x 1 x AH x W, and the boxes' targets and
    weights, 1 x 4A x H x W. There are three `ratios` for each of the `scales`, 9 anchors as a rule.

    Errors: ShapeError for scores of other anchors or of several images; UnsupportedError on
    running.
    Caffe: rbgirshick/py-faster-rcnn, lib/rpn/anchor_target_layer.py
    """

    fixed_bottoms: ClassVar[tuple[int, ...]] = (0, 1, 2, 3)
    what = "rpn.anchor_target_layer.AnchorTargetLayer"
    reason = (
        "draws anchors at random, as many as settings outside of the definition say: it is not "
        "computed here"
    )

    def __init__(self, *, anchors: int = 9) -> None:
        super().__init__()
        self.anchors = anchors

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> AnchorTargetLayer:
        known = ("feat_stride", "scales", "ratios", "base_size", "allowed_border")
        param = read_param_str(layer.python_param.param_str, known)
        return cls(anchors=len(param.get("scales", range(3))) * len(param.get("ratios", range(3))))

    def shapes(self, scores: Shape, *others: Shape) -> list[Shape]:
        wanted = 2 * self.anchors
        require(
            len(scores) == 4 and scores[:2] == (1, wanted),
            f"the scores are {scores}, wants 1 x {wanted} x H x W: 2 for each anchor",
        )
        height, width = scores[2:]
        targets = (1, 4 * self.anchors, height, width)
        return [(1, 1, self.anchors * height, width), targets, targets, targets]
