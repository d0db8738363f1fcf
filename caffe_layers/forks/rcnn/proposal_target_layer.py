"""The Python layer `rpn.proposal_target_layer.ProposalTargetLayer` of py-faster-rcnn."""

from __future__ import annotations

from typing import Any

from caffe_layers.base.checks import require
from caffe_layers.base.shape import Shape
from caffe_layers.base.shapes_only import ShapesOnly
from caffe_layers.data.param_str import read_param_str
from caffe_layers.data.python import register_python

from .region import check_regions

ATTRIBUTES = 16
"""How many attributes of an object the data hold."""


@register_python("rpn.proposal_target_layer", "ProposalTargetLayer")
class ProposalTargetLayer(ShapesOnly, bottoms=2, tops=(5, 7)):
    """Regions with labels and targets for training: shapes alone.

    The tops are regions R x 5, their labels, R x 1, and the boxes' targets and weights, R x 4C with
    C = `num_classes`, each with two axes of 1 behind, as R-FCN's version has them and as R-CNN's
    losses read them too. R depends on the settings; until they are known it is 1, as in Caffe. With
    `num_attr_classes` or `num_rel_classes` there are tops for F regions of objects behind: F x 16
    attributes, F^2 x 1 x 1 x 1 relations; F is a part of R, here 1 as well.

    Errors: ShapeError for regions that are none, and for another number of tops; UnsupportedError
    on running.
    Caffe: rbgirshick/py-faster-rcnn and peteanderson80/bottom-up-attention,
    lib/rpn/proposal_target_layer.py
    """

    fixed_bottoms = (0, 1)
    what = "rpn.proposal_target_layer.ProposalTargetLayer"
    reason = (
        "draws regions at random, as many as settings outside of the definition say: it is not "
        "computed here"
    )

    def __init__(self, *, num_classes: int, attributes: bool = False, relations: bool = False):
        super().__init__()
        self.num_classes = num_classes
        self.more = [(1, ATTRIBUTES)] * attributes + [(1, 1, 1, 1)] * relations

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> ProposalTargetLayer:
        known = ("num_classes", "num_attr_classes", "num_rel_classes", "ignore_label")
        param = read_param_str(layer.python_param.param_str, known)
        require("num_classes" in param, "param_str has no num_classes")
        built = cls(
            num_classes=param["num_classes"],
            attributes=param.get("num_attr_classes", 0) > 0,
            relations=param.get("num_rel_classes", 0) > 0,
        )
        tops = 5 + len(built.more)
        require(len(layer.top) == tops, f"{len(layer.top)} tops, wants {tops} by its param_str")
        return built

    def shapes(self, rois: Shape, boxes: Shape) -> list[Shape]:
        check_regions(rois)
        targets = (1, 4 * self.num_classes, 1, 1)
        return [(1, 5, 1, 1), (1, 1, 1, 1), targets, targets, targets, *self.more]
