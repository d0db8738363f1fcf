"""The Python layer `rpn.proposal_target_layer.ProposalTargetLayer` of py-faster-rcnn."""

from __future__ import annotations

from typing import Any

from caffe_layers.base.checks import require
from caffe_layers.base.shape import Shape
from caffe_layers.base.shapes_only import ShapesOnly
from caffe_layers.data.param_str import read_param_str
from caffe_layers.data.python import register_python

from .region import check_regions


@register_python("rpn.proposal_target_layer", "ProposalTargetLayer")
class ProposalTargetLayer(ShapesOnly, bottoms=2, tops=5):
    """Regions with labels and targets for training: shapes alone.

    The tops are regions R x 5, their labels, R x 1, and the boxes' targets and weights, R x 4C with
    C = `num_classes`, each with two axes of 1 behind, as R-FCN's version has them and as R-CNN's
    losses read them too. R depends on the settings; until they are known it is 1, as in Caffe.

    Errors: ShapeError for regions that are none; UnsupportedError on running.
    Caffe: rbgirshick/py-faster-rcnn, lib/rpn/proposal_target_layer.py
    """

    fixed_bottoms = (0, 1)
    what = "rpn.proposal_target_layer.ProposalTargetLayer"
    reason = (
        "draws regions at random, as many as settings outside of the definition say: it is not "
        "computed here"
    )

    def __init__(self, *, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> ProposalTargetLayer:
        param = read_param_str(layer.python_param.param_str, ("num_classes",))
        require("num_classes" in param, "param_str has no num_classes")
        return cls(num_classes=param["num_classes"])

    def shapes(self, rois: Shape, boxes: Shape) -> list[Shape]:
        check_regions(rois)
        targets = (1, 4 * self.num_classes, 1, 1)
        return [(1, 5, 1, 1), (1, 1, 1, 1), targets, targets, targets]
