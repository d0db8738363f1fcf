"""EvalDetection, Intel's measure of YOLO's boxes."""

from __future__ import annotations

from caffe_layers.base.checks import require
from caffe_layers.base.shape import Shape
from caffe_layers.base.shapes_only import ShapesOnly


class EvalDetection(
    ShapesOnly, type="EvalDetection", fork="intel", param="eval_detection_param", bottoms=(2, 3)
):
    """Counts of labelled boxes and of hits, N x (`num_class` + 4 S S B): shapes alone.

    S is the `side` of the grid, B `num_object`, the boxes of one of its cells.

    Errors: ShapeError for another number of predictions; UnsupportedError on running.
    Caffe: intel/caffe, src/caffe/layers/eval_detection_layer.cpp
    """

    is_metric = True
    fixed_bottoms = (0, 1, 2)
    reason = "only scores detections against labels: it is not computed here"

    def __init__(self, *, side: int = 7, num_class: int = 20, num_object: int = 2) -> None:
        super().__init__()
        self.boxes, self.num_class = side * side * num_object, num_class

    def shapes(self, x: Shape, *labels: Shape) -> list[Shape]:
        count = 1
        for size in x[1:]:
            count *= size
        wanted = self.boxes * (self.num_class + 5)
        require(count == wanted, f"bottom {x} has {count} values an image, wants {wanted}")
        return [(x[0], self.num_class + 4 * self.boxes)]
