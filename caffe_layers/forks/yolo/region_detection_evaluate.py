"""DetectionEvaluate, of caffe-yolov2."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.shape import Shape
from caffe_layers.forks.ssd.evaluation import Evaluation

ROW = 5
"""Numbers an object: class, centre and size."""


class RegionDetectionEvaluate(
    Evaluation,
    type="DetectionEvaluate",
    fork="yolov2",
    param="detection_evaluate_param",
    bottoms=2,
):
    """SSD's DetectionEvaluate of one image's boxes, given by centre and size; no class is beyond.

    Bottoms: K detections 1 x 1 x K x 7 as RegionDetectionOutput gives them, and 5 T numbers, the
    T objects that BoxData reads: class, x, y, width, height; the first without a width ends them.
    What lies beyond the image does not count. The top is 1 x 1 x (`num_classes` + K) x 5.

    Errors: ShapeError for other bottoms.
    Caffe: gklz1982/caffe-yolov2 at ebb2702, src/caffe/layers/detection_evaluate_layer.cpp
    """

    only_by_name = True

    def __init__(self, *, num_classes: int, overlap_threshold: float = 0.5) -> None:
        super().__init__(
            num_classes=num_classes, background_label_id=-1, overlap_threshold=overlap_threshold
        )

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> RegionDetectionEvaluate:
        param = layer.detection_evaluate_param
        require(param.HasField("num_classes"), "there is no num_classes")
        return cls(**cls.fields(layer))

    def shapes(self, detections: Shape, objects: Shape) -> list[Shape]:
        whole = len(detections) == 4 and detections[:2] == (1, 1) and detections[3] == 7
        require(whole, f"the detections are {detections}, wants 1 x 1 x K x 7")
        rows = objects[:1] == (1,) and prod(objects) % ROW == 0
        require(rows, f"the objects are {objects}, wants one image's rows of {ROW} numbers")
        return [(1, 1, self.num_classes + detections[2], ROW)]

    def forward(self, detections: Tensor, objects: Tensor) -> Tensor:
        found, given = detections.reshape(-1, 7), objects.reshape(-1, ROW)
        given = given[(given[:, 3] != 0).cumprod(0).bool()]
        none = given.new_zeros(len(given), 1)
        given = torch.cat((none, given[:, :1], none, _corners(given[:, 1:]), none), 1)
        found = torch.cat((found[:, :3], _corners(found[:, 3:])), 1)
        return super().forward(found[None, None], given[None, None])


def _corners(boxes: Tensor) -> Tensor:
    """Return the corners of boxes of centre and size, as far as they lie within the image."""
    half = boxes[:, 2:] / 2
    return torch.cat(((boxes[:, :2] - half).clamp(min=0), (boxes[:, :2] + half).clamp(max=1)), 1)
