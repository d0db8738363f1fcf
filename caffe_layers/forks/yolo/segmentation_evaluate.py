"""SegmentationEvaluate, MobileNet-YOLO's measure of a segmentation."""

from __future__ import annotations

from caffe_layers.base.checks import require
from caffe_layers.base.shape import Shape
from caffe_layers.base.shapes_only import ShapesOnly


class SegmentationEvaluate(ShapesOnly, type="SegmentationEvaluate", fork="yolo", bottoms=2):
    """How well each of C maps overlaps the labelled one, 1 x 1 x 1 x C: shapes alone.

    Errors: ShapeError for bottoms without 4 axes; UnsupportedError on running.
    Caffe: eric612/MobileNet-YOLO, src/caffe/layers/segmentation_evaluate_layer.cpp
    """

    is_metric = True
    fixed_bottoms = (0, 1)
    reason = "measures maps that OpenCV has resized as 8-bit images: it is not computed here"

    def shapes(self, x: Shape, label: Shape) -> list[Shape]:
        for shape in (x, label):
            require(len(shape) == 4, f"bottom {shape} has {len(shape)} axes, wants 4")
        return [(1, 1, 1, label[1])]
