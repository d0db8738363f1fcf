"""FrcnnOutput, of Cascade R-CNN."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from caffe_layers.base.checks import legacy_shape, require
from caffe_layers.base.layer import Layer
from caffe_layers.base.message import fork_field
from caffe_layers.base.number import FLT_MAX, float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError

from .bbox_reg import NO_MEAN, NO_STD, Four, decoded, emit_decoded, normalization, part
from .suppressed import best, emit_best


class FrcnnOutput(
    Layer, type="FrcnnOutput", fork="cascade_rcnn", param="frcnn_output_param", bottoms=4
):
    """Detections of one image: R x 7 x 1 x 1, [image, x1, y1, x2, y2, class, score].

    The bottoms are probabilities R x C, shifts R x 8 or, with `cls_aware`, R x 4C, regions R x 5 or
    R x 6, and the image's height and width. Of every class but the first those boxes whose
    probability is `conf_thr` at least are clipped to the image, sorted and suppressed; of all that
    are left the best `max_det_num` stay, class by class. The first row is none: 0 and six times
    -1.

    Files that the layer writes beside that (`save_output_param`) are not written.

    Errors: ShapeError unless the bottoms are those.
    Caffe: zhaoweicai/cascade-rcnn, src/caffe/layers/frcnn_output_layer.cpp
    """

    free_axis = 0
    fixed_bottoms = (0, 1, 2, 3)

    def __init__(
        self,
        *,
        conf_thr: float = 0.0,
        iou_thr: float = 0.5,
        nms_type: str = "IOU",
        max_det_num: int = 0,
        cls_aware: bool = True,
        bbox_mean: Four = NO_MEAN,
        bbox_std: Four = NO_STD,
    ) -> None:
        super().__init__()
        self.conf_thr, self.iou_thr = float32(conf_thr), float32(iou_thr)
        self.nms_type, self.max_det_num, self.cls_aware = nms_type, max_det_num, cls_aware
        self.bbox_mean, self.bbox_std = bbox_mean, bbox_std

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> FrcnnOutput:
        aware = fork_field(layer.bbox_reg_param, "cls_aware", True)
        return cls(**cls.fields(layer), **normalization(layer), cls_aware=aware)

    def shapes(self, prob: Shape, shifts: Shape, rois: Shape, size: Shape) -> list[Shape]:
        rows, classes = legacy_shape(prob, "the probabilities")[:2]
        count = 4 * classes if self.cls_aware else 8
        moved = legacy_shape(shifts, "the shifts")[:2]
        require(moved == (rows, count), f"the shifts are {shifts}, wants {rows} x {count}")
        regions = legacy_shape(rois, "the regions")
        if regions[0] != rows or regions[1] not in (5, 6):
            raise ShapeError(f"the regions are {rois}, wants {rows} x 5, or x 6 with a score")
        require(legacy_shape(size, "the sizes")[:2] == (1, 2), f"the size is {size}, wants 1 x 2")
        most = rows * (classes - 1)
        return [(1 + min(most, self.max_det_num or most), 7, 1, 1)]

    def forward(self, prob: Tensor, shifts: Tensor, rois: Tensor, size: Tensor) -> Tensor:
        prob, shifts, rois, size = (x.detach().flatten(1) for x in (prob, shifts, rois, size))
        shifts = shifts.reshape(len(prob), -1, 4)[:, 1:].expand(-1, prob.shape[1] - 1, 4)
        boxes = decoded(shifts, rois[:, None, 1:5], self.bbox_mean, self.bbox_std)
        limit = size[0].flip(0)
        boxes = torch.cat((boxes[..., :2].clamp(min=0), boxes[..., 2:].minimum(limit)), -1)
        rows = [self._of_class(boxes[:, c], prob[:, c + 1], c + 1) for c in range(boxes.shape[1])]
        found = torch.cat(rows)
        if self.max_det_num and len(found) > self.max_det_num:
            order = found[:, 6].argsort(descending=True, stable=True)[: self.max_det_num]
            found = found[order.sort()[0]]
        none = found.new_full((1, 7), -1)
        none[0, 0] = 0
        return torch.cat((none, found)).reshape(-1, 7, 1, 1)

    def _of_class(self, boxes: Tensor, scores: Tensor, number: int) -> Tensor:
        """Return the detections of a class, best first."""
        good = scores >= self.conf_thr
        boxes, scores = boxes[good], scores[good]
        rule = {"mode": self.nms_type, "pixel": 1.0, "threshold": self.iou_thr}
        left = best(boxes, scores, **rule)  # type: ignore[arg-type]  # mypy sees no keys
        ends = (boxes.new_full((len(left), 1), value) for value in (0, number))
        image, label = ends
        return torch.cat((image, boxes[left], label, scores[left, None]), 1)

    def onnx(self, op: Op, prob: str, shifts: str, rois: str, size: str) -> Values:
        prob, shifts, rois, size = (
            op.Flatten(x, axis=1) if len(op.shape(x)) > 2 else x for x in (prob, shifts, rois, size)
        )
        own = op.Transpose(op.Reshape(shifts, op.ints(0, -1, 4)), perm=[1, 0, 2])
        beyond = op.const(np.array([np.iinfo(np.int64).max]))
        own = op.Slice(own, op.ints(1), beyond, op.ints(0))
        scores = op.Transpose(op.Slice(prob, op.ints(1), beyond, op.ints(1)), perm=[1, 0])
        priors = op.Unsqueeze(op.Slice(rois, op.ints(1), op.ints(5), op.ints(1)), op.ints(0))
        boxes = emit_decoded(op, own, priors, self.bbox_mean, self.bbox_std)
        limit = op.Gather(op.Reshape(size, op.ints(2)), op.ints(1, 0))
        low = op.Max(part(op, boxes, 0), op.scalar(0))
        boxes = op.Concat(low, op.Min(part(op, boxes, 2), limit), axis=-1)
        if not self.cls_aware:
            each = op.Concat(op.Shape(scores), op.ints(4), axis=0)
            boxes = op.Expand(boxes, each)
        good = op.GreaterOrEqual(scores, op.scalar(self.conf_thr))
        valid = op.Where(good, scores, op.scalar(-FLT_MAX))
        ranked, at = emit_best(
            op, boxes, valid, mode=self.nms_type, pixel=1.0, threshold=self.iou_thr
        )
        if self.max_det_num:
            at = self._emit_most(op, ranked, at)
        kept = op.GatherND(ranked, at)
        number = op.to_float(op.Slice(at, op.ints(0), op.ints(1), op.ints(1)))
        label = op.Add(number, op.scalar(1))
        image = op.Mul(number, op.scalar(0))
        box, score = op.Split(kept, op.ints(4, 1), axis=1, outputs=2)
        rows = op.Concat(image, box, label, score, axis=1)
        none = op.Reshape(op.floats((0, -1, -1, -1, -1, -1, -1)), op.ints(1, 7))
        return op.Unsqueeze(op.Concat(none, rows, axis=0), op.ints(2, 3))

    def _emit_most(self, op: Op, ranked: str, at: str) -> str:
        """Append the choice of the best `max_det_num` places, in their order."""
        scores = op.Squeeze(part(op, op.GatherND(ranked, at), 4, 1), op.ints(1))
        count = op.Min(op.Shape(scores), op.ints(self.max_det_num))
        _, order = op.TopK(scores, count, axis=0)
        rank = op.to_float(order)
        ordered, _ = op.TopK(rank, count, axis=0, largest=0)
        return op.Gather(at, op.to_int(ordered), axis=0)
