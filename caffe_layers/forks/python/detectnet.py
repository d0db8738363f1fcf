"""DetectNet's Python layers, of NVIDIA's Caffe: lists of boxes, their shapes alone."""

from __future__ import annotations

from typing import Any, ClassVar

from caffe_layers.base.checks import require
from caffe_layers.base.shape import Shape
from caffe_layers.data.python import PythonShapes, register_python
from prototxt.errors import FormatError

BOXES = 50
"""Rows of a list where nothing says otherwise."""


class BoxLists(PythonShapes, bottoms=2, tops=(1, None)):
    """Base: for a grid's coverage N x C x H x W and boxes N x 4 x H x W, C lists N x K x 5.

    `param_str` has numbers with commas between; the last two, which may be left out, are C (1) and
    K (50).

    Errors: FormatError for other numbers; ShapeError for other classes than tops or maps;
    UnsupportedError on running.
    """

    numbers: ClassVar[int]
    """How many stand before the classes."""
    is_metric = False

    def __init__(self, tops: int, *, classes: int = 1, boxes: int = BOXES) -> None:
        super().__init__()
        require(tops == classes, f"{tops} tops for {classes} classes, wants one for each")
        self.classes, self.boxes = classes, boxes

    @classmethod
    def read(cls, layer: Any) -> dict[str, Any]:
        text = layer.python_param.param_str
        try:
            given = [float(number) for number in text.split(",")]
        except ValueError:
            raise FormatError(f"param_str {text!r} is no numbers with commas between") from None
        if len(given) < cls.numbers:
            raise FormatError(f"param_str {text!r} has {len(given)} numbers, wants {cls.numbers}")
        more = map(int, given[cls.numbers :])
        return {"tops": len(layer.top), **dict(zip(("classes", "boxes"), more, strict=False))}

    def shapes(self, coverage: Shape, boxes: Shape) -> list[Shape]:
        require(
            len(coverage) == 4 and coverage[1] == self.classes,
            f"the coverage is {coverage}, wants N x {self.classes} x H x W",
        )
        return [(coverage[0], self.boxes, 5)] * self.classes


@register_python("caffe.layers.detectnet.clustering", "ClusterDetections")
class ClusterDetections(BoxLists, bottoms=2, tops=(1, None)):
    """Boxes that OpenCV's groupRectangles makes of those that are covered enough.

    Caffe: NVIDIA/caffe, python/caffe/layers/detectnet/clustering.py
    """

    numbers = 7


@register_python("caffe.layers.detectnet.clustering", "ClusterGroundtruth")
class ClusterGroundtruth(BoxLists, bottoms=2, tops=(1, None)):
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
