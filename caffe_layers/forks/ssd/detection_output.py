"""DetectionOutput, from SSD, and RefineDet's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from typing_extensions import Unpack

from caffe_layers.base.checks import require
from caffe_layers.base.message import is_set
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

from .detections import DetectionFields, Detections
from .predictions import (
    check_refinement,
    emit_priors,
    emit_refine,
    read_priors,
    refine,
)


class DetectionOutput(
    Detections, type="DetectionOutput", fork="ssd", param="detection_output_param", bottoms=(3, 4)
):
    """Boxes with their class and score: 1 x 1 x K x 7, K as many as are found.

    Bottoms: locations N x 4PL, scores N x PC of C classes, P prior boxes 1 x 2 x 4P; an image for
    the fork's own pictures may follow, and is not read. L is 1, or C with `share_location` false. A
    row of the top is the image's index, label, score, xmin, ymin, xmax, ymax; rows go by image,
    label and falling score. Locations are decoded as `code_type` says (see `bbox.decode`), the
    prior boxes' variances multiplying them unless `variance_encoded_in_target`. Of each class but
    the background the `top_k` best above `confidence_threshold` are looked at, and those dropped
    that overlap a better one by more than `nms_threshold`, which `eta` lowers with every box kept
    while it is above 0.5. Of all classes together the `keep_top_k` best of an image stay.
    Where nothing is found at all, the top has one row for each image: its index, and -1s.

    Boxes of equal score go by their index. There is no gradient. Files that the fork writes
    (`save_output_param`) and its pictures (`visualize`) are not written.

    Errors: ShapeError for bottoms that do not fit each other, and for a prior box without width.
    Caffe: weiliu89/caffe, src/caffe/layers/detection_output_layer.cpp
    """

    is_traced_whole = True

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        known = is_set(layer.detection_output_param, "use_polygon") or _has_objectness(layer)
        return len(layer.bottom) in cls.bottoms and not known

    def shapes(self, loc: Shape, conf: Shape, prior: Shape, *more: Shape) -> list[Shape]:
        if more:
            fix = "--dialect refinedet reads a score of the refinement there"
            require(len(more[0]) == 4, f"bottom 3 is {more[0]}, wants an image", fix=fix)
        return self.rows(loc, conf, prior)


class RefinedDetectionOutput(
    DetectionOutput, type="DetectionOutput", fork="refinedet", bottoms=(3, 5)
):
    """SSD's DetectionOutput with prior boxes refined by an earlier stage of the network.

    Two more bottoms: scores N x 2P and locations N x 4P of the refinement. Prior boxes are decoded
    by the latter first. Where the second score of a prior box is below `objectness_score`, all its
    classes score 0 but class 0, which scores 1.

    Caffe: sfzhang15/RefineDet, src/caffe/layers/detection_output_layer.cpp
    """

    def __init__(
        self, *, objectness_score: float = 0.01, **fields: Unpack[DetectionFields]
    ) -> None:
        super().__init__(**fields)
        self.objectness_score = float32(objectness_score)
        require(self.share_location, "refined prior boxes are there with share_location alone")

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return len(layer.bottom) > 3 or _has_objectness(layer)

    def shapes(self, loc: Shape, conf: Shape, prior: Shape, *more: Shape) -> list[Shape]:
        for name, size, shape in zip(("arm_conf", "arm_loc"), (2, 4), more, strict=False):
            check_refinement(name, size, shape, prior, loc)
        return self.rows(loc, conf, prior)

    def forward(self, loc: Tensor, conf: Tensor, prior: Tensor, *more: Tensor) -> Tensor:
        with torch.no_grad():
            boxes, variances = read_priors(prior, encoded=self.variance_encoded_in_target)
            scores = conf.reshape(loc.shape[0], -1, self.num_classes)
            if more:
                objects = more[0].reshape(loc.shape[0], -1, 2)[..., 1:]
                background = scores.new_tensor([1.0] + [0.0] * (self.num_classes - 1))
                scores = torch.where(objects < self.objectness_score, background, scores)
            if len(more) > 1:
                boxes = refine(self.code_type, boxes, variances, more[1])
            return self.detect(loc, scores, boxes, variances)

    def onnx(self, op: Op, loc: str, conf: str, prior: str, *more: str) -> Values:
        boxes, variances = emit_priors(op, prior, encoded=self.variance_encoded_in_target)
        scores = op.Reshape(conf, op.ints(0, -1, self.num_classes))
        if more:
            pairs = op.Reshape(more[0], op.ints(0, -1, 2))
            objects = op.Gather(pairs, op.ints(1), axis=2)
            below = op.Less(objects, op.scalar(self.objectness_score))
            background = op.floats([1.0] + [0.0] * (self.num_classes - 1))
            scores = op.Where(below, background, scores)
        if len(more) > 1:
            boxes = emit_refine(op, self.code_type, boxes, variances, more[1])
        return self.emit(op, loc, scores, boxes, variances, self.priors(op, conf))


def _has_objectness(layer: Any) -> bool:
    return is_set(layer.detection_output_param, "objectness_score")
