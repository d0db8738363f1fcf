"""DetectionEvaluate, from SSD."""

from __future__ import annotations

from typing import Any

from caffe_layers.base.checks import require
from caffe_layers.base.message import enum_name
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError, UnsupportedError

from .evaluation import ROW, Evaluation


class DetectionEvaluate(
    Evaluation, type="DetectionEvaluate", fork="ssd", param="detection_evaluate_param", bottoms=2
):
    """Which of DetectionOutput's boxes are right: 1 x 1 x (F + K) x 5.

    Bottoms: K detections 1 x 1 x K x 7, and G objects 1 x 1 x G x 8 as MultiBoxLoss takes them. The
    top begins with a row for each of F foreground classes: -1, label, how many objects, -1, -1.
    Then follows one for each detection, by image, label and, where there are objects, falling
    score: image, label, score, 1 if it is right, 1 if it is wrong. It is right if the object of
    its image and label that it overlaps most, by at least `overlap_threshold`, is found for the
    first time; without `evaluate_difficult_gt` difficult objects do not count, and what finds one
    is neither. Rows of DetectionOutput that say that nothing was found are left out; objects end
    at the first of no image (-1).

    A `name_size_file` has a line "name height width" for each image. Boxes are then cut to the
    image and compared in its pixels, sides counted one larger: as many lines further with every
    forward as the detections are of images, from the last on to the first.

    Errors: ShapeError for other bottoms, and for objects or detections of the background;
    FormatError, when it runs, for a `name_size_file` that is not there; UnsupportedError for a
    `resize_param` that pads or leaves a part out.
    Caffe: weiliu89/caffe, src/caffe/layers/detection_evaluate_layer.cpp
    """

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> DetectionEvaluate:
        param = layer.detection_evaluate_param
        require(param.HasField("num_classes"), "there is no num_classes")
        if param.HasField("resize_param"):
            mode = enum_name(param.resize_param, "resize_mode")
            if mode != "WARP":
                raise UnsupportedError(f"boxes of images resized by {mode} are not here")
        return cls(**cls.fields(layer))

    def shapes(self, detections: Shape, objects: Shape) -> list[Shape]:
        for name, shape, width in (("detections", detections, 7), ("objects", objects, 8)):
            if len(shape) != 4 or shape[:2] != (1, 1) or shape[3] != width:
                raise ShapeError(f"the {name} are {shape}, wants 1 x 1 x K x {width}")
        return [(1, 1, self.label_count + detections[2], ROW)]
