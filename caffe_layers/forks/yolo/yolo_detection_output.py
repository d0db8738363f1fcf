"""YoloDetectionOutput, of the second YOLO."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op
from caffe_layers.base.shape import Shape

from .grid_detection import GridDetection


class YoloDetectionOutput(
    GridDetection,
    type="YoloDetectionOutput",
    fork="yolo",
    param="yolo_detection_output_param",
    bottoms=(1, 2),
):
    """One row for each box (`GridDetection`) with `s(objectness) * max(softmax(classes))` enough.

    That is, `confidence_threshold` or more; the label is the class's index plus 1. `biases` are
    the boxes' widths and heights in cells, for both bottoms. The grid's size is the bottom's own,
    whatever `side` says.

    Errors: ShapeError for grids that are no squares, other numbers of channels or too few biases.
    Caffe: eric612/MobileNet-YOLO, src/caffe/layers/yolo_detection_output_layer.cpp
    """

    inclusive = True
    rows_of_box = 1

    def __init__(
        self,
        *,
        num_classes: int = 20,
        num_box: int = 5,
        coords: int = 4,
        confidence_threshold: float = 0.01,
        nms_threshold: float = 0.45,
        biases: Sequence[float],
    ) -> None:
        require(coords == 4, f"coords {coords} wants 4: x, y, width and height")
        sizes = [float32(bias) for bias in biases[: 2 * num_box]]
        wanted = 2 * num_box
        require(len(sizes) == wanted, f"{len(biases)} biases, wants {wanted}: 2 for each box")
        pairs = list(zip(sizes[::2], sizes[1::2], strict=True))
        super().__init__(
            num_classes=num_classes,
            boxes=num_box,
            confidence_threshold=confidence_threshold,
            nms_threshold=nms_threshold,
            anchors=[pairs, pairs],
        )

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> YoloDetectionOutput:
        param = layer.yolo_detection_output_param
        require(param.HasField("num_classes"), "num_classes is not given")
        return cls(**cls.fields(layer))

    def scores(self, objectness: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        best, label = classes.softmax(1).max(1, keepdim=True)
        return objectness.sigmoid() * best, (label + 1).to(classes.dtype)

    def emit_scores(self, op: Op, objectness: str, classes: str) -> tuple[str, str]:
        shares = op.Softmax(classes, axis=1)
        best = op.reduce("ReduceMax", shares, [1])
        score = op.Mul(op.Sigmoid(objectness), best)
        label = op.to_float(op.ArgMax(shares, axis=1))
        return score, op.Add(label, op.scalar(1))
