"""ClusterDetections, of DetectNet."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from caffe_layers.data.python import register_python

from .box_lists import BOXES, BoxLists
from .group_rectangles import Grouping, onnx_rows


@register_python("caffe.layers.detectnet.clustering", "ClusterDetections")
class ClusterDetections(BoxLists, bottoms=2, tops=(1, None)):
    """Boxes of a grid, grouped: for each class a list N x K x 5 of [x1, y1, x2, y2, confidence].

    `param_str` is the image's width and height, the stride of the grid, how much a cell must be
    covered, groupRectangles' threshold and eps, and the least height. The boxes of cells that are
    covered enough, N x 4 x H x W, are moved by their cell's place, cut off to whole numbers and
    grouped (`Grouping`) as [x1, y1, x2, y2], which OpenCV takes for [x, y, width, height]. Groups
    whose height is enough are listed in their order, with the logarithm of their size, all in
    half precision; what is left is 0, and what is more than K left out, where Caffe's Python ends.
    As there, the grid has no more rows than the image has cells across.

    Errors: those of BoxLists, and ShapeError for boxes that do not fit the coverage and for a
    stride beyond the image.
    Caffe: NVIDIA/caffe at 88eada0, python/caffe/layers/detectnet/clustering.py
    """

    numbers = 7
    fixed_bottoms = (0, 1)

    def __init__(
        self,
        tops: int,
        size: tuple[int, int],
        stride: int,
        covered: float,
        grouping: Grouping,
        min_height: int,
        *,
        classes: int = 1,
        boxes: int = BOXES,
    ) -> None:
        super().__init__(tops, classes=classes, boxes=boxes)
        require(
            0 < stride <= min(size), f"stride {stride} of an image {size}, wants 1 cell or more"
        )
        self.cells = (size[0] // stride, size[1] // stride)
        self.apart = (size[0] // self.cells[0], size[1] // self.cells[1])
        self.covered, self.grouping, self.min_height = covered, grouping, min_height

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> ClusterDetections:
        width, height, stride, covered, threshold, eps, least = cls.given(layer)[: cls.numbers]
        size, grouping = (int(width), int(height)), Grouping(int(threshold), eps)
        made: dict[str, Any] = cls.read(layer)
        return cls(made.pop("tops"), size, int(stride), covered, grouping, int(least), **made)

    def shapes(self, coverage: Shape, boxes: Shape) -> list[Shape]:
        tops = super().shapes(coverage, boxes)
        fits = (coverage[0], 4, *coverage[2:])
        require(boxes == fits, f"boxes {boxes} for a coverage {coverage}, wants {fits}")
        return tops

    def forward(self, coverage: Tensor, boxes: Tensor) -> Any:
        rows = min(*self.cells, coverage.shape[2])
        shifts = self._shifts(rows, coverage.shape[3])
        moved = (boxes[:, :, :rows].detach() + torch.from_numpy(shifts).to(boxes)).movedim(1, 3)
        masks = coverage[:, :, :rows].detach() >= self.covered
        lists = [self._listed(mask, moved) for mask in masks.unbind(1)]
        return lists[0] if len(lists) == 1 else tuple(lists)

    def _shifts(self, rows: int, columns: int) -> np.ndarray:
        """Return what is added to the boxes of each cell: 4 x H x W."""
        y, x = np.mgrid[:rows, :columns]
        one = np.stack((x * self.apart[0], y * self.apart[1]))
        return np.concatenate((one, one)).astype(np.float64)

    def _listed(self, mask: Tensor, moved: Tensor) -> Tensor:
        top = moved.new_zeros(len(mask), self.boxes, 5)
        images, boxes = mask.nonzero()[:, 0], moved[mask]
        somewhere = torch.zeros(len(mask), dtype=torch.bool, device=mask.device)
        somewhere[images[(boxes != 0).any(1)]] = True
        kept, mean, count = self.grouping.groups(boxes.long(), images)
        kept &= somewhere[images] & (mean[:, 3] - mean[:, 1] >= self.min_height)
        rows = torch.cat((mean, count.float().log()[:, None]), 1)[kept].half().to(top)
        images = images[kept]
        ranks = (images[:, None] == images).tril(-1).sum(1)
        few = ranks < self.boxes
        top[images[few], ranks[few]] = rows[few]
        return top

    def onnx(self, op: Op, coverage: str, boxes: str) -> Values:
        _, _, high, columns = op.shape(coverage)
        rows = min(*self.cells, high)
        cut = (op.ints(0), op.ints(rows), op.ints(2))
        shifts = op.const(self._shifts(rows, columns)[None].astype(op.float_type))
        moved = op.Transpose(op.Add(op.Slice(boxes, *cut), shifts), perm=[0, 2, 3, 1])
        seen = op.GreaterOrEqual(op.Slice(coverage, *cut), op.scalar(self.covered))
        return [self._onnx_listed(op, coverage, seen, moved, at) for at in range(self.classes)]

    def _onnx_listed(self, op: Op, coverage: str, seen: str, moved: str, at: int) -> str:
        def number(value: float) -> str:
            return op.const(np.array(value, np.float32))

        _, _, rows, columns = op.shape(coverage)
        mask = op.Squeeze(op.Slice(seen, op.ints(at), op.ints(at + 1), op.ints(1)), op.ints(1))
        places = op.Transpose(op.NonZero(mask), perm=[1, 0])
        found = op.cast(op.GatherND(moved, places), np.float32)
        # One more box, of no image: no operator has nothing to work on.
        boxes = op.Concat(found, op.const(np.zeros((1, 4), np.float32)), axis=0)
        image = op.Slice(places, op.ints(0), op.ints(1), op.ints(1))
        images = op.Concat(
            op.cast(image, np.float32), op.const(np.full((1, 1), -1, np.float32)), axis=0
        )
        whole = op.cast(op.to_int(boxes), np.float32)
        kept, mean, count = self.grouping.onnx_groups(op, whole, images, rows * columns)
        same = op.Equal(images, op.Transpose(images, perm=[1, 0]))
        size = op.reduce("ReduceMax", op.Abs(boxes), [1], keepdims=1)
        sizes = op.Mul(op.cast(same, np.float32), op.Transpose(size, perm=[1, 0]))
        somewhere = op.Greater(op.reduce("ReduceMax", sizes, [1], keepdims=1), number(0))
        top, bottom = (op.Slice(mean, op.ints(i), op.ints(i + 1), op.ints(1)) for i in (1, 3))
        high = op.GreaterOrEqual(op.Sub(bottom, top), number(self.min_height))
        real = op.GreaterOrEqual(images, number(0))
        kept = op.And(op.And(kept, real), op.And(somewhere, high))
        values = op.cast(op.Concat(mean, op.Log(count), axis=1), np.float16)
        return self._onnx_placed(op, coverage, op.to_float(values), kept, images, same)

    def _onnx_placed(
        self, op: Op, coverage: str, values: str, kept: str, images: str, same: str
    ) -> str:
        """Append the lists: each row that is kept at its image's next free place."""

        def number(value: float) -> str:
            return op.const(np.array(value, np.float32))

        chosen = op.cast(kept, np.float32)
        ours = op.Mul(op.cast(same, np.float32), op.Transpose(chosen, perm=[1, 0]))
        rows = onnx_rows(op, images)
        before = op.cast(op.Less(op.Transpose(rows, perm=[1, 0]), rows), np.float32)
        rank = op.reduce("ReduceSum", op.Mul(ours, before), [1], keepdims=1)
        fits = op.And(kept, op.Less(rank, number(self.boxes)))
        slot = op.Add(op.Mul(images, number(self.boxes)), rank)
        slot = op.Where(fits, slot, number(-1))
        count = op.Gather(op.Shape(coverage), op.const(np.array(0, np.int64)))
        total = op.Mul(count, op.const(np.array(self.boxes, np.int64)))
        zero, one = (op.const(np.array(value, np.int64)) for value in (0, 1))
        slots = op.cast(op.Unsqueeze(op.Range(zero, total, one), op.ints(1)), np.float32)
        chooses = op.to_float(op.Equal(slots, op.Transpose(slot, perm=[1, 0])))
        return op.Reshape(op.MatMul(chooses, values), op.ints(-1, self.boxes, 5))
