"""Yolov3, the third YOLO's loss."""

from __future__ import annotations

from ..layer import Shape
from ..loss.labels import check_batch
from ..shapes_only import ShapesOnly

BOXES = (1, 1)
"""How the labels of a whole batch begin, one row an object, as AnnotatedData gives them."""


class Yolov3(ShapesOnly, type="Yolov3", fork="yolo", bottoms=2):
    """The loss of a grid of boxes against labelled ones, a scalar: shapes alone.

    Errors: ShapeError where predictions and labels differ in images; UnsupportedError on running.
    Caffe: eric612/MobileNet-YOLO, src/caffe/layers/yolov3_layer.cpp
    """

    is_loss = True
    auto_tops = True
    fixed_bottoms = (1,)
    reason = (
        "matches boxes to labels by rules that changed from release to release, in training alone: "
        "it is not computed here"
    )

    def shapes(self, x: Shape, label: Shape) -> list[Shape]:
        if label[:2] != BOXES:
            check_batch(x, label)
        return [()]
