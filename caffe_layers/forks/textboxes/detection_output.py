"""DetectionOutput with quadrilaterals or turned boxes, of TextBoxes++."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from typing_extensions import Unpack

from caffe_layers.base.checks import require
from caffe_layers.base.message import is_set
from caffe_layers.base.op import Op
from caffe_layers.base.shape import Shape
from caffe_layers.forks.ssd.bbox import decode, emit_decode
from caffe_layers.forks.ssd.detections import DetectionFields, Detections

AROUND = (0, 1, 2, 1, 2, 3, 0, 3)
"""Corners of a box, from the upper left one clockwise, among xmin, ymin, xmax, ymax."""


class TextDetectionOutput(
    Detections,
    type="DetectionOutput",
    fork="textboxes_plusplus",
    param="detection_output_param",
    bottoms=3,
):
    """SSD's DetectionOutput, whose boxes have a quadrilateral each, or a turned box.

    With `use_polygon` a prior box has 12 locations: the box's 4 and the shifts of 4 corners, from
    the upper left one clockwise, and a row of the top 15 numbers: 7 as SSD's, then x and y of the
    corners. Each is the prior box's own corner, moved by the shift times its variance (that of x or
    y) times the prior box's width or height. Without `use_polygon` there are 9 locations and rows
    of 12: two corners x1, y1, x2, y2, moved alike from the prior box's centre, and a height, the
    prior box's times the exponential of the location times the fourth variance. The box alone is
    suppressed by.

    Errors: ShapeError as SSD's, and for another `code_type` than CENTER_SIZE and
    `variance_encoded_in_target`, with which the fork writes what was in memory.
    Caffe: MhLiao/TextBoxes_plusplus, src/caffe/layers/detection_output_layer.cpp,
    src/caffe/util/bbox_util.cpp
    """

    fork_fields: ClassVar[tuple[str, ...]] = ("detection_output_param.use_polygon",)

    locations: ClassVar[tuple[int, ...]] = (9, 12)

    def __init__(self, *, use_polygon: bool = True, **fields: Unpack[DetectionFields]) -> None:
        """Take `DetectionOutput`'s fields too."""
        super().__init__(**fields)
        require(
            self.code_type == "CENTER_SIZE" and not self.variance_encoded_in_target,
            f"code_type {self.code_type} or variance_encoded_in_target, of which the fork decodes "
            "no corners: wants CENTER_SIZE",
        )
        self.use_polygon = use_polygon
        self.numbers = 12 if use_polygon else 9

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return is_set(layer.detection_output_param, "use_polygon")

    def decoded(self, prior: Tensor, variance: Tensor, loc: Tensor) -> Tensor:
        box = decode(self.code_type, prior, loc[..., :4] * variance)
        low, high = prior.chunk(2, -1)
        size, shift = (high - low), variance[..., :2]
        if self.use_polygon:
            corners = prior[..., AROUND] + loc[..., 4:] * (shift * size).repeat(1, 1, 4)
            return torch.cat([box, corners], -1)
        centre = ((low + high) / 2).repeat(1, 1, 2)
        points = centre + loc[..., 4:8] * (shift * size).repeat(1, 1, 2)
        height = (variance[..., 3:] * loc[..., 8:]).exp() * size[..., 1:]
        return torch.cat([box, points, height], -1)

    def emit_decoded(self, op: Op, prior: str, variance: str | None, loc: str) -> str:
        assert variance is not None
        own, *rest = op.Split(loc, op.ints(4, self.numbers - 4), axis=-1, outputs=2)
        box = emit_decode(op, self.code_type, prior, op.Mul(own, variance))
        low, high = op.Split(prior, op.ints(2, 2), axis=-1, outputs=2)
        size = op.Sub(high, low)
        shift, growth = op.Split(variance, op.ints(2, 2), axis=-1, outputs=2)
        scale = op.Mul(shift, size)
        if self.use_polygon:
            moved = op.Mul(rest[0], op.Concat(*[scale] * 4, axis=-1))
            return op.Concat(
                box, op.Add(op.Gather(prior, op.ints(*AROUND), axis=-1), moved), axis=-1
            )
        points, last = op.Split(rest[0], op.ints(4, 1), axis=-1, outputs=2)
        centre = op.Add(low, op.Mul(size, op.scalar(0.5)))
        points = op.Mul(points, op.Concat(scale, scale, axis=-1))
        points = op.Add(op.Concat(centre, centre, axis=-1), points)
        by, tall = (op.Gather(name, op.ints(1), axis=-1) for name in (growth, size))
        height = op.Mul(op.Exp(op.Mul(by, last)), tall)
        return op.Concat(box, points, height, axis=-1)
