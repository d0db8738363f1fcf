"""Yolov3DetectionOutput, of the third YOLO."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from caffe_layers.arithmetic.ramp import ramp
from caffe_layers.base.checks import require
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op
from caffe_layers.base.shape import Shape
from prototxt.errors import UnsupportedError

from .grid_detection import GridDetection


class Yolov3DetectionOutput(
    GridDetection,
    type="Yolov3DetectionOutput",
    fork="yolo",
    param="yolov3_detection_output_param",
    bottoms=(1, None),
):
    """A row for each box and class (`GridDetection`) with `s(class) * s(objectness)` enough.

    That is, more than `confidence_threshold`; the label is the class's index plus 1. Bottom i takes
    the i-th of `mask_group_num` parts of `mask`, which names pairs of `biases`, widths and heights
    in pixels, and `anchors_scale[i]`, the pixels of one cell.

    Errors: ShapeError unless there are as many bottoms and scales as groups, masks for `num_box`
    boxes in each, and biases for the masks; UnsupportedError for `gaussian_box`.
    Caffe: eric612/MobileNet-YOLO, src/caffe/layers/yolov3_detection_output_layer.cpp
    """

    inclusive = False

    def __init__(
        self,
        *,
        num_classes: int = 20,
        num_box: int = 3,
        confidence_threshold: float = 0.01,
        nms_threshold: float = 0.45,
        biases: Sequence[float],
        anchors_scale: Sequence[int],
        mask_group_num: int = 2,
        mask: Sequence[int],
        gaussian_box: bool = False,
    ) -> None:
        if gaussian_box:
            raise UnsupportedError(
                "gaussian_box: how the deviations of a box count is in no source at hand"
            )
        groups = mask_group_num
        require(len(anchors_scale) >= groups > 0, f"{groups} groups, {len(anchors_scale)} scales")
        wanted = groups * num_box
        require(
            len(mask) == wanted,
            f"{len(mask)} masks, wants {wanted}: {num_box} boxes in each of {groups} groups",
        )
        most = max(mask, default=-1)
        require(
            2 * most + 1 < len(biases),
            f"mask {most} wants {2 * most + 2} biases, got {len(biases)}",
        )
        sizes = [float32(bias) for bias in biases]
        anchors = [
            [
                (sizes[2 * index] / scale, sizes[2 * index + 1] / scale)
                for index in mask[group * num_box : (group + 1) * num_box]
            ]
            for group, scale in enumerate(anchors_scale[:groups])
        ]
        super().__init__(
            num_classes=num_classes,
            boxes=num_box,
            confidence_threshold=confidence_threshold,
            nms_threshold=nms_threshold,
            anchors=anchors,
        )
        self.rows_of_box = num_classes

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Yolov3DetectionOutput:
        param = layer.yolov3_detection_output_param
        require(param.HasField("num_classes"), "num_classes is not given")
        groups = param.mask_group_num
        require(len(bottoms) == groups, f"{len(bottoms)} bottoms, wants {groups}: mask_group_num")
        return cls(**cls.fields(layer))

    def scores(self, objectness: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        scores = classes.sigmoid() * objectness.sigmoid()
        return scores, (ramp(scores, self.num_classes) + 1).expand_as(scores)

    def emit_scores(self, op: Op, objectness: str, classes: str) -> tuple[str, str]:
        each = op.Sigmoid(classes)
        score = op.Mul(each, op.Sigmoid(objectness))
        none = op.Mul(score, op.scalar(0))
        labels = op.floats(range(1, self.num_classes + 1))
        return score, op.Add(none, labels)
