"""YoloSeg, MobileNet-YOLO's loss of a segmentation."""

from __future__ import annotations

from caffe_layers.base.shape import Shape
from caffe_layers.base.shapes_only import ShapesOnly
from caffe_layers.loss.labels import check_batch


class YoloSeg(ShapesOnly, type="YoloSeg", fork="yolo", bottoms=(2, 3)):
    """The loss of a map against a labelled one, a scalar: shapes alone.

    Errors: ShapeError where predictions and labels differ in images; UnsupportedError on running.
    Caffe: eric612/MobileNet-YOLO, src/caffe/layers/yolo_seg.cpp
    """

    is_loss = True
    fixed_bottoms = (1, 2)
    reason = "is a loss whose formula changed from release to release: it is not computed here"

    def shapes(self, x: Shape, label: Shape, weight: Shape | None = None) -> list[Shape]:
        check_batch(x, label)
        return [()]
