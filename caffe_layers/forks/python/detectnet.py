"""DetectNet's Python layers that measure, of NVIDIA's Caffe: their shapes alone."""

from __future__ import annotations

from caffe_layers.base.checks import require
from caffe_layers.base.shape import Shape
from caffe_layers.data.python import PythonShapes, register_python

from .box_lists import BOXES, BoxLists


@register_python("caffe.layers.detectnet.clustering", "ClusterGroundtruth")
class ClusterGroundtruth(BoxLists, PythonShapes, bottoms=2, tops=(1, None)):
    """The boxes of labels, each once.

    Caffe: NVIDIA/caffe, python/caffe/layers/detectnet/clustering.py
    """

    numbers = 3
    is_metric = True


@register_python("caffe.layers.detectnet.mean_ap", "ScoreDetections")
class ScoreDetections(PythonShapes, bottoms=2):
    """Boxes marked as right, wrong and missed, N x 50 x 5, of lists of labels and detections.

    Caffe: NVIDIA/caffe, python/caffe/layers/detectnet/mean_ap.py
    """

    is_metric = True

    def shapes(self, labels: Shape, detections: Shape) -> list[Shape]:
        require(labels[:1] == detections[:1], f"lists {labels} and {detections} of other images")
        return [(labels[0], BOXES, 5)]
