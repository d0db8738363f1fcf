"""YoloDetectionOutput, of the second YOLO, and caffe-yolov2's DetectionOutput."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, TypedDict

from torch import Tensor
from typing_extensions import Unpack

from caffe_layers.base.checks import require
from caffe_layers.base.message import is_set
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op
from caffe_layers.base.shape import Shape

from .grid_detection import GridDetection


class YoloFields(TypedDict, total=False):
    """`YoloDetectionOutput`'s keywords beside its `biases`."""

    num_classes: int
    num_box: int
    coords: int
    confidence_threshold: float
    nms_threshold: float


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
    first_label: ClassVar[int] = 1

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
        param = getattr(layer, cls.param)
        require(param.HasField("num_classes"), "num_classes is not given")
        return cls(**cls.fields(layer))

    def scores(self, objectness: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        best, label = classes.softmax(1).max(1, keepdim=True)
        return objectness.sigmoid() * best, (label + self.first_label).to(classes.dtype)

    def emit_scores(self, op: Op, objectness: str, classes: str) -> tuple[str, str]:
        shares = op.Softmax(classes, axis=1)
        best = op.reduce("ReduceMax", shares, [1])
        score = op.Mul(op.Sigmoid(objectness), best)
        label = op.to_float(op.ArgMax(shares, axis=1))
        return score, op.Add(label, op.scalar(self.first_label))


class RegionDetectionOutput(
    YoloDetectionOutput,
    type="DetectionOutput",
    fork="yolov2",
    param="detection_output_param",
    bottoms=1,
):
    """YoloDetectionOutput of a single image, whose boxes are compared in the grid's order.

    So a box goes if it overlaps one of an earlier cell, even of a lower score; what lies beyond the
    image does not count for that. A row is [0, label, score, x, y, width, height], x and y being
    the centre; labels begin with 0. The grid is `side` x `side`.

    Errors: those of YoloDetectionOutput; ShapeError for more than one image, and for another grid.
    Caffe: gklz1982/caffe-yolov2 at ebb2702, src/caffe/layers/detection_output_layer.cpp,
    include/caffe/util/bbox_util.hpp
    """

    ranked = False
    clips = True
    centred = True
    first_label = 0

    def __init__(
        self, *, side: int = 13, biases: Sequence[float], **fields: Unpack[YoloFields]
    ) -> None:
        super().__init__(biases=biases, **fields)
        self.side = side

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return is_set(layer.detection_output_param, "biases")

    def shapes(self, *maps: Shape) -> list[Shape]:
        tops = super().shapes(*maps)
        images, _, height, _ = maps[0]
        require(images == 1, f"bottom {maps[0]} has {images} images, wants one")
        require(height == self.side, f"bottom {maps[0]} has {height} rows, wants side {self.side}")
        return tops
