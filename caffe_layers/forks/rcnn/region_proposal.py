"""From the scores and shifts of anchors to regions: what every Proposal layer does."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from caffe_layers.arithmetic.ramp import emit_indices, emit_ramp, ramp
from caffe_layers.arithmetic.suppression import overlaps, survivors
from caffe_layers.base.checks import require
from caffe_layers.base.layer import Asked, Layer
from caffe_layers.base.number import FLT_MAX
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError

from .anchors import Boxes


class RegionProposal(Layer):
    """Base of the Proposal layers.

    Place (h, w) of the maps stands for the anchors moved by `feat_stride` times w and h. With an
    anchor's width `w = x2 - x1 + 1` and centre `x1 + w / 2`, the shifts dx and dw make the box
    about `dx * w + centre` whose width is `exp(dw) * w`, without the 1; heights alike. Boxes are
    clipped to the image, sorted by score (equal ones stay in order), and of the first
    `pre_nms_topn` those are kept that no better one overlaps by more than `nms_thresh`, areas
    counting the 1.
    """

    free_axis = 0
    fixed_bottoms = (0, 1, 2)
    asks: ClassVar[Mapping[int, Asked]] = {2: "image info"}
    drops_small: bool
    """Boxes below `min_size` go; otherwise their score becomes 0."""
    info_fields: int
    """How many numbers of the image are known: height, width, and 1 or 2 scales."""

    def __init__(
        self, anchors: Boxes, *, feat_stride: int, min_size: int, nms_thresh: float, tops: int
    ) -> None:
        super().__init__()
        self.anchors = anchors
        self.feat_stride, self.min_size, self.nms_thresh = feat_stride, min_size, nms_thresh
        self.with_scores = tops == 2

    def kept(self) -> tuple[int, int]:
        """Return how many boxes are taken before the suppression, and how many after it."""
        raise NotImplementedError

    def score_shape(self, rows: int) -> Shape:
        """Return the shape of the second top for so many regions."""
        raise NotImplementedError

    def shapes(self, scores: Shape, shifts: Shape, info: Shape) -> list[Shape]:
        count = len(self.anchors)
        for name, shape, each in (("scores", scores, 2), ("shifts", shifts, 4)):
            require(len(shape) == 4, f"the {name} {shape} have {len(shape)} axes, wants 4")
            require(
                shape[1] == each * count,
                f"the {name} {shape} have {shape[1]} channels, wants {each * count}: {each} for "
                f"each of {count} anchors",
            )
        if (scores[0], *scores[2:]) != (shifts[0], *shifts[2:]):
            raise ShapeError(
                f"the scores {scores} and the shifts {shifts} differ in images or places"
            )
        if len(info) != 2 or info[1] < self.info_fields:
            raise ShapeError(f"the image's numbers are {info}, wants 1 x {self.info_fields}")
        before, after = self.kept()
        rows = scores[0] * min(after, before, count * scores[2] * scores[3])
        return [(rows, 5), self.score_shape(rows)] if self.with_scores else [(rows, 5)]

    def forward(self, scores: Tensor, shifts: Tensor, info: Tensor) -> Tensor | tuple[Tensor, ...]:
        count = len(self.anchors)
        height, width, *scale = info.detach()[0, : self.info_fields].unbind()
        boxes = self._boxes(shifts.detach())
        limit = torch.stack((width, height, width, height)) - 1
        boxes = boxes.minimum(limit).clamp(min=0)
        sides = boxes[..., 2:] - boxes[..., :2] + 1
        large = (sides >= self.min_size * torch.stack((scale[-1], scale[0]))).all(-1)
        best = scores.detach()[:, count:].permute(0, 2, 3, 1).flatten(1)
        best = torch.where(large, best, -FLT_MAX if self.drops_small else 0)
        before, after = self.kept()
        rois, tops = [], []
        for image, (score, box) in enumerate(zip(best, boxes, strict=True)):
            order = score.argsort(descending=True, stable=True)[:before]
            taken = large[image, order] if self.drops_small else torch.ones_like(order).bool()
            score, box = score[order], box[order]
            areas = (box[:, 2:] - box[:, :2] + 1).prod(1)
            rows = survivors(taken, partial(self._hides, box, areas), after)
            rois.append(torch.cat((box.new_full((len(rows), 1), image), box[rows]), 1))
            tops.append(score[rows])
        regions = torch.cat(rois)
        if not self.with_scores:
            return regions
        return regions, torch.cat(tops).reshape(self.score_shape(len(regions)))

    def _boxes(self, shifts: Tensor) -> Tensor:
        """Return the boxes of all images, N x (H W A) x 4."""
        images, _, height, width = shifts.shape
        shifts = shifts.permute(0, 2, 3, 1).reshape(images, height, width, -1, 4)
        anchors = torch.from_numpy(self.anchors).to(shifts)
        right = ramp(shifts, width)[:, None] * self.feat_stride
        down = ramp(shifts, height)[:, None, None] * self.feat_stride
        sizes = anchors[:, 2:] - anchors[:, :2] + 1
        left = (anchors[:, 0] + right).expand(height, -1, -1)
        upper = (anchors[:, 1] + down).expand(-1, width, -1)
        corner = torch.stack((left, upper), -1)
        centre = corner + 0.5 * sizes
        centre = shifts[..., :2] * sizes + centre
        half = 0.5 * (shifts[..., 2:].exp() * sizes)
        return torch.cat((centre - half, centre + half), -1).flatten(1, 3)

    def _hides(self, boxes: Tensor, areas: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """Tell which of the boxes `a` overlap which of the boxes `b` too much."""
        return overlaps((boxes[a], areas[a]), (boxes[b], areas[b]), 1) > self.nms_thresh

    def onnx(self, op: Op, scores: str, shifts: str, info: str) -> Values:
        count = len(self.anchors)
        boxes = self._onnx_boxes(op, shifts)
        sizes = op.Gather(info, op.ints(1, 0, 1, 0), axis=1)
        first = op.Slice(sizes, op.ints(0), op.ints(1), op.ints(0))
        limit = op.Sub(first, op.scalar(1))
        boxes = op.Max(op.Min(boxes, limit), op.scalar(0))
        low, high = (op.Slice(boxes, op.ints(at), op.ints(at + 2), op.ints(2)) for at in (0, 2))
        sides = op.Add(op.Sub(high, low), op.scalar(1))
        scale = op.Gather(
            op.Slice(info, op.ints(0), op.ints(1), op.ints(0)),
            op.ints(self.info_fields - 1, 2),
            axis=1,
        )
        least = op.Mul(scale, op.scalar(self.min_size))
        fits = op.to_float(op.GreaterOrEqual(sides, least))
        large = op.reduce("ReduceMin", fits, [2], keepdims=0)
        best = op.Slice(scores, op.ints(count), op.ints(2 * count), op.ints(1))
        best = op.Transpose(best, perm=[0, 2, 3, 1])
        best = op.Reshape(best, op.ints(0, -1))
        small = op.scalar(-FLT_MAX if self.drops_small else 0)
        best = op.Where(op.to_bool(large), best, small)
        before, after = self.kept()
        total = op.Slice(op.Shape(best), op.ints(1), op.ints(2))
        most = op.Min(total, op.ints(before))
        best, order = op.TopK(best, most, axis=1)
        column = op.Unsqueeze(order, op.ints(2))
        places = op.Concat(column, column, column, column, axis=2)
        boxes = op.GatherElements(boxes, places, axis=1)
        # By rank, so that equal scores keep their order; 0 is what was dropped.
        index = emit_indices(op, op.Squeeze(most, op.ints(0)))
        rank = op.to_float(op.Sub(most, index))
        if self.drops_small:
            taken = op.GatherElements(large, order, axis=1)
        else:
            taken = op.Add(op.Mul(best, op.scalar(0)), op.scalar(1))
        rank = op.Unsqueeze(op.Mul(rank, taken), op.ints(1))
        whole = op.Add(boxes, op.floats((0, 0, 1, 1)))
        chosen = op.NonMaxSuppression(
            op.cast(whole, np.float32),
            op.cast(rank, np.float32),
            op.ints(after),
            op.const(np.array(self.nms_thresh, np.float32)),
            op.const(np.array(0.5, np.float32)),
        )
        at = op.Gather(chosen, op.ints(0, 2), axis=1)
        image = op.to_float(op.Gather(chosen, op.ints(0), axis=1))
        rois = op.Concat(image, op.GatherND(boxes, at), axis=1)
        if not self.with_scores:
            return rois
        return rois, op.Reshape(op.GatherND(best, at), op.ints(*self.score_shape(-1)))

    def _onnx_boxes(self, op: Op, shifts: str) -> str:
        """Append what `_boxes` does."""
        shifted = op.Transpose(shifts, perm=[0, 2, 3, 1])
        shifted = op.Reshape(shifted, op.ints(0, -1, 4))
        right, down = (
            op.Mul(
                op.Unsqueeze(emit_ramp(op, shifts, axis), axes),
                op.floats(np.array(way) * self.feat_stride),
            )
            for axis, axes, way in ((3, op.ints(0, 2, 3), (1, 0)), (2, op.ints(1, 2, 3), (0, 1)))
        )
        sizes = self.anchors[:, 2:] - self.anchors[:, :2] + 1
        # By anchors and places, as the shifts are: 1 x (H W A) x 2.
        moved = op.Add(right, down)
        corner = op.Add(op.array("anchor_corners", self.anchors[:, :2]), moved)
        zeros = op.Mul(moved, op.scalar(0))
        size = op.Add(op.array("anchor_sizes", sizes), zeros)
        corner, size = (op.Reshape(part, op.ints(1, -1, 2)) for part in (corner, size))
        centre = op.Add(corner, op.Mul(size, op.scalar(0.5)))
        by, grown = (op.Slice(shifted, op.ints(at), op.ints(at + 2), op.ints(2)) for at in (0, 2))
        centre = op.Add(op.Mul(by, size), centre)
        size = op.Mul(op.Exp(grown), size)
        half = op.Mul(size, op.scalar(0.5))
        return op.Concat(op.Sub(centre, half), op.Add(centre, half), axis=2)
