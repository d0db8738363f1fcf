"""Curve-Text-Detector's Python layer of regions for training, without its Python."""

from __future__ import annotations

from typing import Any

from caffe_layers.base.checks import require
from caffe_layers.base.shape import Shape
from caffe_layers.data.param_str import read_param_str
from caffe_layers.data.python import PythonShapes, register_python

POINTS = 16
"""Of a curve's outline, along each axis: 14 points and the box's two ends."""


@register_python("rpn.proposal_fg_disHW_target_layer", "ProposalFgDisHWTargetLayer")
class CurveTargets(PythonShapes, bottoms=3, tops=10):
    """Regions with labels, boxes' and outlines' targets for training: shapes alone.

    The tops are regions R x 5, labels R x 1, the boxes' targets and two weights, R x 4C with C =
    `num_classes`, the outlines' targets down and across and their weights, F x 16 (C - 1), each
    with two axes of 1 behind, and the F regions of text, F x 5 x 1 x 1. R and F depend on the
    settings; until they are known they are 1, as in Caffe.

    Errors: ShapeError for another number of tops; UnsupportedError on running.
    Caffe: Yuliang-Liu/Curve-Text-Detector at 2126a66, lib/rpn/proposal_fg_disHW_target_layer.py
    """

    fixed_bottoms = (0, 1, 2)
    reason = "draws regions at random, by settings outside of the definition: not computed here"

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        require(num_classes > 1, f"num_classes {num_classes} wants 2 or more")
        self.num_classes = num_classes

    @classmethod
    def read(cls, layer: Any) -> dict[str, Any]:
        param = read_param_str(layer.python_param.param_str, ("num_classes",))
        require("num_classes" in param, "param_str has no num_classes")
        return param

    def shapes(self, rois: Shape, boxes: Shape, outlines: Shape) -> list[Shape]:
        region = (1, 5, 1, 1)
        targets = (1, 4 * self.num_classes, 1, 1)
        along = (1, POINTS * (self.num_classes - 1), 1, 1)
        return [region, (1, 1, 1, 1), *[targets] * 3, *[along] * 4, region]
