"""From the maps of a grid to rows of detections: what both YOLO output layers do."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from caffe_layers.arithmetic.ramp import emit_count, emit_ramp, ramp
from caffe_layers.arithmetic.suppression import overlaps, survivors
from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

ROW = 7


class GridDetection(Layer):
    """Base of the YOLO output layers.

    A bottom is N x (B (5 + C)) x S x S: for each of B boxes of a cell x, y, w, h, an objectness and
    C classes. With s(t) = 1 / (1 + exp(-t)), column i and row j, the box is centred at
    `((i + s(x)) / S, (j + s(y)) / S)`, and `exp(w) * bias_w / (S * scale)` wide, of the image.

    What scores enough is sorted by score (equal ones stay in order, by bottoms, images, rows,
    columns, boxes and classes), unless it is not `ranked`, and goes if its box overlaps that of one
    before it, of whatever class and image, by `nms_threshold` or more. The top is 1 x 1 x K x 7:
    [0, label, score, xmin, ymin, xmax, ymax] (centre and size where they are `centred`), where 0
    stands for every image; without any detection it is 1 x 1 x N x 7, of [image, -1, -1, -1, -1,
    -1, -1]. There is no gradient.
    """

    free_axis = 2

    def __init__(
        self,
        *,
        num_classes: int,
        boxes: int,
        confidence_threshold: float,
        nms_threshold: float,
        anchors: Sequence[Sequence[tuple[float, float]]],
    ) -> None:
        super().__init__()
        for name, value in (("num_classes", num_classes), ("num_box", boxes)):
            require(value > 0, f"{name} {value} wants 1 or more")
        self.num_classes, self.boxes = num_classes, boxes
        self.confidence_threshold = float32(confidence_threshold)
        self.nms_threshold = float32(nms_threshold)
        self.anchors = anchors
        """For each bottom the biases of each box, divided by the scale."""

    def scores(self, objectness: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores and labels, M x R both, of M boxes; which are enough, `is_enough` tells."""
        raise NotImplementedError

    def emit_scores(self, op: Op, objectness: str, classes: str) -> tuple[str, str]:
        """Append what `scores` does, the labels as floats."""
        raise NotImplementedError

    rows_of_box: int
    """How many rows one box can give: R."""

    inclusive: bool
    """A score that equals `confidence_threshold` is enough."""

    ranked: ClassVar[bool] = True
    """Boxes of higher scores come first."""

    clips: ClassVar[bool] = False
    """Overlaps are of what lies within the image."""

    centred: ClassVar[bool] = False
    """Rows give a box by its centre and size."""

    def shapes(self, *maps: Shape) -> list[Shape]:
        wanted = self.boxes * (5 + self.num_classes)
        require(len(maps) <= len(self.anchors), f"{len(maps)} bottoms, wants {len(self.anchors)}")
        rows = 0
        for shape in maps:
            require(len(shape) == 4, f"bottom {shape} has {len(shape)} axes, wants 4")
            images, channels, height, width = shape
            require(
                channels == wanted,
                f"bottom {shape} has {channels} channels, wants {wanted}: {5 + self.num_classes} "
                f"for each of {self.boxes} boxes",
            )
            require(height == width, f"bottom {shape} is no square grid")
            require(images == maps[0][0], f"bottoms {maps[0]} and {shape} differ in images")
            rows += images * height * width * self.boxes * self.rows_of_box
        return [(1, 1, rows, ROW)]

    def forward(self, *maps: Tensor) -> Tensor:
        parts = [
            self._read(x.detach(), anchors)
            for x, anchors in zip(maps, self.anchors[: len(maps)], strict=True)
        ]
        boxes, scores, labels = (torch.cat(part) for part in zip(*parts, strict=True))
        least = self.confidence_threshold
        enough = (scores >= least if self.inclusive else scores > least).flatten().nonzero()[:, 0]
        order = enough
        if self.ranked:
            order = enough[scores.flatten()[enough].argsort(descending=True, stable=True)]
        boxes = boxes[order // self.rows_of_box]
        half = boxes[:, 2:] / 2
        corners = torch.cat((boxes[:, :2] - half, boxes[:, :2] + half), 1)
        seen = corners.clamp(0, 1) if self.clips else corners
        areas = (seen[:, 2:] - seen[:, :2] if self.clips else boxes[:, 2:]).prod(1)
        taken = torch.ones_like(order, dtype=torch.bool)
        rows = survivors(taken, partial(self._hides, seen, areas))
        if not len(rows):
            return self._nothing(maps[0])
        score, label = (part.flatten()[order[rows]] for part in (scores, labels))
        first = torch.stack((torch.zeros_like(score), label, score), 1)
        return torch.cat((first, (boxes if self.centred else corners)[rows]), 1)[None, None]

    def _read(
        self, x: Tensor, anchors: Sequence[tuple[float, float]]
    ) -> tuple[Tensor, Tensor, Tensor]:
        images, _, side, _ = x.shape
        cells = x.reshape(images, self.boxes, -1, side, side).permute(0, 3, 4, 1, 2)
        at = ramp(x, side)
        grid = torch.stack((at.expand(side, -1), at[:, None].expand(-1, side)), -1)[:, :, None]
        centre = (grid + cells[..., :2].sigmoid()) / side
        size = cells[..., 2:4].exp() * torch.tensor(anchors).to(x) / side
        boxes = torch.cat((centre, size), -1).reshape(-1, 4)
        rows = cells.reshape(-1, cells.shape[-1])
        return boxes, *self.scores(rows[:, 4:5], rows[:, 5:])

    def _hides(self, corners: Tensor, areas: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """Tell which of the boxes `a` overlap which of the boxes `b` enough."""
        return overlaps((corners[a], areas[a]), (corners[b], areas[b])) >= self.nms_threshold

    def _nothing(self, x: Tensor) -> Tensor:
        rows = x.new_full((len(x), ROW), -1)
        rows[:, 0] = ramp(x, len(x))
        return rows[None, None]

    def onnx(self, op: Op, *maps: str) -> Values:
        parts = [
            self._emit_read(op, x, anchors)
            for x, anchors in zip(maps, self.anchors[: len(maps)], strict=True)
        ]
        boxes, scores, labels = (
            op.Concat(*part, axis=0) if len(maps) > 1 else part[0]
            for part in zip(*parts, strict=True)
        )
        flat, label = (op.Reshape(x, op.ints(-1)) for x in (scores, labels))
        above = op.GreaterOrEqual if self.inclusive else op.Greater
        enough = above(flat, op.scalar(self.confidence_threshold))
        where = op.Reshape(op.NonZero(enough), op.ints(-1))
        found = op.Gather(flat, where, axis=0)
        if self.ranked:
            found, order = op.TopK(found, op.Shape(found), axis=0)
            where = op.Gather(where, order, axis=0)
        label = op.Gather(label, where, axis=0)
        cells = op.Div(where, op.ints(self.rows_of_box))
        boxes = op.Gather(boxes, cells, axis=0)
        # By rank, so that equal scores keep their order; an overlap that equals the threshold
        # hides here, so ONNX, which asks for more, gets the float before.
        ones = op.Add(op.Mul(where, op.ints(0)), op.ints(1))
        count = op.Reshape(op.Shape(found), op.ints(1))
        place = op.CumSum(ones, op.const(np.array(0)))
        # Above 0, below which OpenCV takes no score.
        rank = op.cast(op.Sub(op.Add(count, op.ints(1)), place), np.float32)
        seen = op.Clip(_corners(op, boxes), op.scalar(0), op.scalar(1)) if self.clips else boxes
        chosen = op.NonMaxSuppression(
            op.cast(op.Unsqueeze(seen, op.ints(0)), np.float32),
            op.Unsqueeze(rank, op.ints(0, 1)),
            count,
            op.const(np.nextafter(np.float32(self.nms_threshold), np.float32(-1))),
            center_point_box=int(not self.clips),
        )
        at = op.Reshape(op.Slice(chosen, op.ints(2), op.ints(3), op.ints(1)), op.ints(-1))
        score, label, boxes = (op.Gather(x, at, axis=0) for x in (found, label, boxes))
        score, label = (op.Unsqueeze(x, op.ints(1)) for x in (score, label))
        box = boxes if self.centred else _corners(op, boxes)
        rows = op.Concat(op.Mul(score, op.scalar(0)), label, score, box, axis=1)
        # Behind them the rows that say that there is nothing: taken only where there is nothing.
        images = op.Unsqueeze(emit_ramp(op, maps[0], 0), op.ints(1))
        minus = op.Sub(op.Mul(images, op.floats([0] * (ROW - 1))), op.scalar(1))
        rows = op.Concat(rows, op.Concat(images, minus, axis=1), axis=0)
        count = op.Shape(at)
        none = op.Equal(count, op.ints(0))
        size = op.Reshape(emit_count(op, maps[0], 0), op.ints(1))
        end = op.Where(none, size, count)
        rows = op.Slice(rows, op.ints(0), end, op.ints(0))
        return op.Unsqueeze(rows, op.ints(0, 1))

    def _emit_read(
        self, op: Op, x: str, anchors: Sequence[tuple[float, float]]
    ) -> tuple[str, str, str]:
        side = op.Slice(op.Shape(x), op.ints(2), op.ints(4))
        shape = op.Concat(op.ints(0, self.boxes, 5 + self.num_classes), side, axis=0)
        cells = op.Reshape(x, shape)
        cells = op.Transpose(cells, perm=[0, 3, 4, 1, 2])
        parts = [
            op.Slice(cells, op.ints(i), op.ints(j), op.ints(4))
            for i, j in ((0, 1), (1, 2), (2, 4), (4, 5), (5, 5 + self.num_classes))
        ]
        at = emit_ramp(op, x, 2)
        length = op.to_float(emit_count(op, x, 2))
        centres = []
        for part, axes in ((parts[0], (0, 2, 3)), (parts[1], (1, 2, 3))):
            moved = op.Add(op.Unsqueeze(at, op.ints(*axes)), op.Sigmoid(part))
            centres.append(op.Div(moved, length))
        size = op.Mul(op.Exp(parts[2]), op.array("anchors", np.array(anchors)))
        size = op.Div(size, length)
        boxes = op.Concat(*centres, size, axis=4)
        boxes = op.Reshape(boxes, op.ints(-1, 4))
        objects, classes = (
            op.Reshape(part, op.ints(-1, width))
            for part, width in ((parts[3], 1), (parts[4], self.num_classes))
        )
        return boxes, *self.emit_scores(op, objects, classes)


def _corners(op: Op, boxes: str) -> str:
    """Append the corners of boxes of centre and size."""
    centre, size = (op.Slice(boxes, op.ints(i), op.ints(i + 2), op.ints(1)) for i in (0, 2))
    half = op.Mul(size, op.scalar(0.5))
    return op.Concat(op.Sub(centre, half), op.Add(centre, half), axis=1)
