"""From maps of scores and shifts to regions: what BoxOutput and BoxGroupOutput share."""

from __future__ import annotations

from typing import TypedDict

import torch
from torch import Tensor

from caffe_layers.arithmetic.ramp import emit_ramp
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import FLT_MAX, float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

from .bbox_reg import NO_MEAN, NO_STD, Four
from .suppressed import best, emit_best, emit_or_else

NOTHING = (0, 1, 1, 10, 10)
"""The region where no box is left."""


class ProposalFields(TypedDict, total=False):
    """What a layer that makes regions is told: `BoxProposal`'s keywords."""

    fg_thr: float
    iou_thr: float
    nms_type: str
    field_whr: float
    field_xyr: float
    max_nms_num: int
    max_post_nms_num: int
    min_size: float
    bbox_mean: Four
    bbox_std: Four
    tops: int


class BoxProposal(Layer):
    """Base of the layers that make regions: R x 5 x 1 x 1, [image, x1, y1, x2, y2].

    A second top has each one's score behind it, R x 6 x 1 x 1. Where no box is left there is one
    region, [0, 1, 1, 10, 10], with the scores' row of zeros.
    """

    free_axis = 0
    pixel: float
    """What the last pixel adds to a side."""

    def __init__(
        self,
        *,
        fg_thr: float = 0.0,
        iou_thr: float = 0.5,
        nms_type: str = "IOU",
        field_whr: float = 2.0,
        field_xyr: float = 2.0,
        max_nms_num: int = 0,
        max_post_nms_num: int = 0,
        min_size: float = 15.0,
        bbox_mean: Four = NO_MEAN,
        bbox_std: Four = NO_STD,
        tops: int = 1,
    ) -> None:
        super().__init__()
        self.fg_thr, self.iou_thr = float32(fg_thr), float32(iou_thr)
        self.nms_type, self.min_size = nms_type, float32(min_size)
        self.field_whr, self.field_xyr = float32(field_whr), float32(field_xyr)
        self.max_nms_num, self.max_post_nms_num = max_nms_num, max_post_nms_num
        self.bbox_mean, self.bbox_std = bbox_mean, bbox_std
        self.with_scores = tops == 2

    def _tops(self, images: int, boxes: int) -> list[Shape]:
        """Return the tops' shapes for so many boxes an image at most."""
        limits = [limit for limit in (self.max_nms_num, self.max_post_nms_num) if limit]
        rows = images * min(boxes, *limits, boxes)
        regions: list[Shape] = [(rows, 5, 1, 1), (rows, 6, 1, 1)]
        return regions[: 1 + self.with_scores]

    def _regions(self, boxes: Tensor, scores: Tensor, valid: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return the tops for boxes N x K x 4 with scores N x K, of which some are none."""
        rows = []
        for image, (box, score, is_box) in enumerate(zip(boxes, scores, valid, strict=True)):
            box, score = box[is_box], score[is_box]
            left = best(
                box,
                score,
                mode=self.nms_type,
                pixel=self.pixel,
                threshold=self.iou_thr,
                before=self.max_nms_num,
                after=self.max_post_nms_num,
            )
            number = box.new_full((len(left), 1), image)
            rows.append(torch.cat((number, box[left], score[left, None]), 1))
        whole = torch.cat(rows)
        if not len(whole):
            first = whole.new_tensor([NOTHING])
            second = whole.new_zeros(1, 6)
        else:
            first, second = whole[:, :5], whole
        tops = [part.reshape(*part.shape, 1, 1) for part in (first, second)]
        return (tops[0], tops[1]) if self.with_scores else tops[0]

    def _emit_regions(self, op: Op, boxes: str, scores: str) -> Values:
        """Append what `_regions` does; a score of -FLT_MAX is of no box."""
        ranked, at = emit_best(
            op,
            boxes,
            scores,
            mode=self.nms_type,
            pixel=self.pixel,
            threshold=self.iou_thr,
            before=self.max_nms_num,
            after=self.max_post_nms_num,
        )
        image = op.to_float(op.Slice(at, op.ints(0), op.ints(1), op.ints(1)))
        whole = op.Concat(image, op.GatherND(ranked, at), axis=1)
        first = op.Slice(whole, op.ints(0), op.ints(5), op.ints(1))
        nothing = op.Reshape(op.floats(NOTHING), op.ints(1, 5))
        first = op.Unsqueeze(emit_or_else(op, first, nothing), op.ints(2, 3))
        if not self.with_scores:
            return first
        zeros = op.Reshape(op.floats([0] * 6), op.ints(1, 6))
        return first, op.Unsqueeze(emit_or_else(op, whole, zeros), op.ints(2, 3))

    def _emit_valid(self, op: Op, scores: str, sides: str) -> str:
        """Append the scores, with -FLT_MAX for what is below `fg_thr` and `min_size`."""
        good = op.to_float(op.GreaterOrEqual(scores, op.scalar(self.fg_thr)))
        large = op.to_float(op.GreaterOrEqual(sides, op.scalar(self.min_size)))
        large = op.reduce("ReduceMin", large, [2], keepdims=0)
        return op.Where(op.to_bool(op.Mul(good, large)), scores, op.scalar(-FLT_MAX))


def emit_places(op: Op, x: str, stride: float) -> tuple[str, str]:
    """Append the centres of a map's places in pixels, H x W x 2, and the image's size, 2.

    x is N x H x W x ..., and its values are `stride` pixels apart.
    """
    across, down = (
        op.Mul(op.Add(emit_ramp(op, x, axis), op.scalar(0.5)), op.scalar(stride)) for axis in (2, 1)
    )
    across = op.Mul(op.Unsqueeze(across, op.ints(0, 2)), op.floats((1, 0)))
    down = op.Mul(op.Unsqueeze(down, op.ints(1, 2)), op.floats((0, 1)))
    counts = op.to_float(op.Gather(op.Shape(x), op.ints(2, 1)))
    return op.Add(across, down), op.Floor(op.Mul(counts, op.scalar(stride)))
