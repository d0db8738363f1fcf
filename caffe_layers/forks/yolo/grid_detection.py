"""From the maps of a grid to rows of detections: what both YOLO output layers do."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from onnx import TensorProto
from torch import Tensor

from caffe_layers.arithmetic.ramp import emit_count, emit_ramp, ramp
from caffe_layers.arithmetic.suppression import overlaps, survivors
from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer, Shape
from caffe_layers.base.number import float32

ROW = 7


class GridDetection(Layer):
    """Base of the YOLO output layers.

    A bottom is N x (B (5 + C)) x S x S: for each of B boxes of a cell x, y, w, h, an objectness and
    C classes. With s(t) = 1 / (1 + exp(-t)), column i and row j, the box is centred at
    `((i + s(x)) / S, (j + s(y)) / S)`, and `exp(w) * bias_w / (S * scale)` wide, of the image.

    What scores enough is sorted by score (equal ones stay in order, by bottoms, images, rows,
    columns, boxes and classes), and goes if its box overlaps a better one's, of whatever class and
    image, by `nms_threshold` or more. The top is 1 x 1 x K x 7: [0, label, score, xmin, ymin, xmax,
    ymax], where 0 stands for every image; without any detection it is 1 x 1 x N x 7, of
    [image, -1, -1, -1, -1, -1, -1]. There is no gradient.
    """

    free_rows = True
    rows_axis = 2

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

    def emit_scores(self, op: Any, objectness: str, classes: str, name: str) -> tuple[str, str]:
        """Append what `scores` does, the labels as floats."""
        raise NotImplementedError

    rows_of_box: int
    """How many rows one box can give: R."""

    inclusive: bool
    """A score that equals `confidence_threshold` is enough."""

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
        order = enough[scores.flatten()[enough].argsort(descending=True, stable=True)]
        boxes = boxes[order // self.rows_of_box]
        half = boxes[:, 2:] / 2
        corners = torch.cat((boxes[:, :2] - half, boxes[:, :2] + half), 1)
        taken = torch.ones_like(order, dtype=torch.bool)
        rows = survivors(taken, partial(self._hides, corners, boxes[:, 2:].prod(1)))
        if not len(rows):
            return self._nothing(maps[0])
        score, label = (part.flatten()[order[rows]] for part in (scores, labels))
        first = torch.stack((torch.zeros_like(score), label, score), 1)
        return torch.cat((first, corners[rows]), 1)[None, None]

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

    def onnx(self, op: Any, *maps: str) -> Any:
        parts = [
            self._emit_read(op, x, anchors, f"map{index}")
            for index, (x, anchors) in enumerate(zip(maps, self.anchors[: len(maps)], strict=True))
        ]
        boxes, scores, labels = (
            op.Concat(*part, axis=0, name=name) if len(maps) > 1 else part[0]
            for part, name in zip(
                zip(*parts, strict=True), ("boxes", "scores", "labels"), strict=True
            )
        )
        flat, label = (
            op.Reshape(x, op.ints(-1), name=name)
            for x, name in ((scores, "flat"), (labels, "flat_labels"))
        )
        above = op.GreaterOrEqual if self.inclusive else op.Greater
        enough = above(flat, op.scalar(self.confidence_threshold), name="enough")
        where = op.Reshape(op.NonZero(enough, name="nonzero"), op.ints(-1), name="where")
        found = op.Gather(flat, where, axis=0, name="found")
        found, order = op.TopK(found, op.Shape(found, name="k"), axis=0, name="sorted", outputs=2)
        where = op.Gather(where, order, axis=0, name="order")
        label = op.Gather(label, where, axis=0, name="label")
        cells = op.Div(where, op.ints(self.rows_of_box), name="cells")
        boxes = op.Gather(boxes, cells, axis=0, name="found_boxes")
        # By rank, so that equal scores keep their order; an overlap that equals the threshold
        # hides here, so ONNX, which asks for more, gets the float before.
        rank = op.Neg(
            op.Cast(
                op.CumSum(
                    op.Add(op.Mul(order, op.ints(0), name="no_order"), op.ints(1), name="ones"),
                    op.const(np.array(0)),
                    name="rank_int",
                ),
                to=TensorProto.FLOAT,
                name="rank",
            ),
            name="ranks",
        )
        chosen = op.NonMaxSuppression(
            op.Cast(
                op.Unsqueeze(boxes, op.ints(0), name="nms_all"),
                to=TensorProto.FLOAT,
                name="nms_boxes",
            ),
            op.Unsqueeze(rank, op.ints(0, 1), name="nms_ranks"),
            op.Reshape(op.Shape(found, name="all"), op.ints(1), name="most"),
            op.const(np.nextafter(np.float32(self.nms_threshold), np.float32(-1))),
            center_point_box=1,
            name="chosen",
        )
        at = op.Reshape(
            op.Slice(chosen, op.ints(2), op.ints(3), op.ints(1), name="column"),
            op.ints(-1),
            name="at",
        )
        score, label, boxes = (
            op.Gather(x, at, axis=0, name=name)
            for x, name in ((found, "top_score"), (label, "top_label"), (boxes, "top_boxes"))
        )
        score, label = (
            op.Unsqueeze(x, op.ints(1), name=f"{name}_column")
            for x, name in ((score, "score"), (label, "label"))
        )
        centre, size = (
            op.Slice(boxes, op.ints(i), op.ints(i + 2), op.ints(1), name=name)
            for i, name in ((0, "centre"), (2, "size"))
        )
        half = op.Mul(size, op.scalar(0.5), name="half")
        rows = op.Concat(
            op.Mul(score, op.scalar(0), name="image"),
            label,
            score,
            op.Sub(centre, half, name="low"),
            op.Add(centre, half, name="high"),
            axis=1,
            name="rows",
        )
        # Behind them the rows that say that there is nothing: taken only where there is nothing.
        images = op.Unsqueeze(emit_ramp(op, maps[0], 0, "images"), op.ints(1), name="image_ids")
        minus = op.Sub(
            op.Mul(images, op.floats([0] * (ROW - 1)), name="zeros"), op.scalar(1), name="minus"
        )
        rows = op.Concat(
            rows, op.Concat(images, minus, axis=1, name="nothing"), axis=0, name="both"
        )
        count = op.Shape(at, name="count")
        none = op.Equal(count, op.ints(0), name="none")
        size = op.Reshape(emit_count(op, maps[0], 0, "batch"), op.ints(1), name="batch_size")
        end = op.Where(none, size, count, name="end")
        rows = op.Slice(rows, op.ints(0), end, op.ints(0), name="detections")
        return op.Unsqueeze(rows, op.ints(0, 1))

    def _emit_read(
        self, op: Any, x: str, anchors: Sequence[tuple[float, float]], name: str
    ) -> tuple[str, str, str]:
        side = op.Slice(
            op.Shape(x, name=f"{name}_sizes"), op.ints(2), op.ints(4), name=f"{name}_side"
        )
        shape = op.Concat(
            op.ints(0, self.boxes, 5 + self.num_classes), side, axis=0, name=f"{name}_shape"
        )
        cells = op.Reshape(x, shape, name=f"{name}_boxes")
        cells = op.Transpose(cells, perm=[0, 3, 4, 1, 2], name=f"{name}_cells")
        parts = [
            op.Slice(cells, op.ints(i), op.ints(j), op.ints(4), name=f"{name}_{part}")
            for i, j, part in (
                (0, 1, "x"),
                (1, 2, "y"),
                (2, 4, "wh"),
                (4, 5, "object"),
                (5, 5 + self.num_classes, "class"),
            )
        ]
        at = emit_ramp(op, x, 2, f"{name}_at")
        length = op.to_float(emit_count(op, x, 2, f"{name}_count"), name=f"{name}_length")
        centres = []
        for part, axes, letter in ((parts[0], (0, 2, 3), "x"), (parts[1], (1, 2, 3), "y")):
            moved = op.Add(
                op.Unsqueeze(at, op.ints(*axes), name=f"{name}_{letter}_at"),
                op.Sigmoid(part, name=f"{name}_{letter}_in"),
                name=f"{name}_{letter}_sum",
            )
            centres.append(op.Div(moved, length, name=f"{name}_c{letter}"))
        size = op.Mul(
            op.Exp(parts[2], name=f"{name}_exp"),
            op.array(f"{name}_anchors", np.array(anchors)),
            name=f"{name}_grown",
        )
        size = op.Div(size, length, name=f"{name}_size")
        boxes = op.Concat(*centres, size, axis=4, name=f"{name}_box")
        boxes = op.Reshape(boxes, op.ints(-1, 4), name=f"{name}_flat")
        objects, classes = (
            op.Reshape(part, op.ints(-1, width), name=f"{name}_rows{width}")
            for part, width in ((parts[3], 1), (parts[4], self.num_classes))
        )
        return boxes, *self.emit_scores(op, objects, classes, name)
