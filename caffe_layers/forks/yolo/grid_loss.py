"""The loss of a grid of boxes: what both YOLO loss layers take and refuse."""

from __future__ import annotations

from caffe_layers.base.shape import Shape
from caffe_layers.base.shapes_only import ShapesOnly
from caffe_layers.loss.labels import check_batch

BOXES = (1, 1)
"""How the labels of a whole batch begin, one row an object, as AnnotatedData gives them."""


class GridLoss(ShapesOnly):
    """Base of the YOLO losses of a grid of boxes against labelled ones, scalars: shapes alone.

    Errors: ShapeError where predictions and labels differ in images; UnsupportedError on running.
    """

    is_loss = True
    fixed_bottoms = (1,)
    reason = (
        "matches boxes to labels by rules that changed from release to release, in training alone: "
        "it is not computed here"
    )

    def shapes(self, x: Shape, label: Shape) -> list[Shape]:
        if label[:2] != BOXES:
            check_batch(x, label)
        return [()]
