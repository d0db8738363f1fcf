"""RegionLoss, of the second YOLO."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.number import float32
from caffe_layers.base.shape import Shape
from prototxt.errors import UnsupportedError

from .class_tree import ClassTree, check_classes, mapped, read_map, read_tree
from .grid_loss import ROW, GridLoss, Objects, concentric, last_of, overlaps

EARLY_ROWS = 30
"""Objects an image of gklz1982's labels; eric612's are 300."""

ALONE = 100000
"""Beyond this a box's centre says, where there is a tree, that its image has a class alone."""

EARLY_IMAGES = 12800
"""How many images gklz1982's loss also draws all boxes to their anchors for."""


class RegionLoss(GridLoss, type="RegionLoss", fork="yolo", param="region_loss_param", bottoms=2):
    """The second YOLO's loss, a scalar: `sum of delta^2 / N`, with `delta / N` for its gradient.

    x is N x `num` (5 + `num_class`) x S x S, the labels N x 5 T (`GridLoss`). With s(v) the
    logistic function and s' its slope, a box is at `((column + s(x)) / S, (row + s(y)) / S)` and
    `(e^w, e^h) * biases / S` large. Of every box s(object) is drawn to 0, delta being
    `noobject_scale * s s'`, unless it overlaps an object by more than `thresh`.

    An object is its cell's, there of the anchor whose size overlaps its own most (with
    `bias_match`, otherwise of the box that is predicted); a cell's anchor takes its last one.
    Delta is `coord_scale * (s - t) s'` for x and y, `coord_scale * (v - t)` for w and h,
    `object_scale * (s - t) s'` for the object and `class_scale * (p - t)` for the softmax p of the
    classes. With `rescore` the object's target is the overlap; without it is 1, and coordinates
    count `2 - w h` times more.

    Labels of 30 objects an image are gklz1982's. His loss is `sum of delta^2`, object targets are
    1 and coordinates count as said, whatever `rescore` is; and in the passes of the first 12,800
    images every box without an object is drawn, by 0.01, to its anchor in the middle of its cell.

    It reads two files of the working folder, which eric612's makes no use of. `class_map` says the
    classes of labels. With `softmax_tree` there is a softmax within each group of classes of one
    parent, and an object draws those of its class's group, its parent's and so on (`class_tree`).

    Caffe rounds overlaps and targets to floats in a network of doubles too: not so here.

    Errors: those of GridLoss; on running UsageError where a file is not there, FormatError for one
    that is none, UnsupportedError for images of a class alone, which only trees have; ShapeError
    for fewer than two `biases` an anchor, and a tree of other classes than `num_class`.
    Caffe: eric612/MobileNet-YOLO and gklz1982/caffe-yolov2, src/caffe/layers/region_loss_layer.cpp
    """

    def __init__(
        self,
        *,
        side: int = 13,
        num_class: int = 20,
        bias_match: int = 1,
        coords: int = 4,
        num: int = 5,
        softmax: int = 1,
        jitter: float = 0.2,
        rescore: int = 1,
        object_scale: float = 1.0,
        class_scale: float = 1.0,
        noobject_scale: float = 0.5,
        coord_scale: float = 5.0,
        absolute: int = 1,
        thresh: float = 0.2,
        random: int = 1,
        biases: Sequence[float] = (),
        softmax_tree: str = "",
        class_map: str = "",
        early: bool = False,
    ) -> None:
        """Take also what no Caffe reads: `side`, which x tells, `softmax`, `jitter` and others."""
        super().__init__()
        require(coords == 4, f"coords is {coords}, wants 4")
        self.side, self.softmax, self.jitter, self.absolute = side, softmax, jitter, absolute
        self.random, self.classes, self.anchors = random, num_class, num
        self.bias_match, self.rescore = bool(bias_match), bool(rescore) and not early
        self.object_scale, self.class_scale = float32(object_scale), float32(class_scale)
        self.noobject_scale, self.coord_scale = float32(noobject_scale), float32(coord_scale)
        self.thresh, self.biases = float32(thresh), tuple(map(float32, biases))
        self.softmax_tree, self.class_map = (softmax_tree, class_map) if early else ("", "")
        self.tree: ClassTree | None = None
        self.early = early

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> RegionLoss:
        label = bottoms[1]
        early = len(label) > 1 and prod(label[1:]) == EARLY_ROWS * ROW
        return cls(early=early, **cls.fields(layer))

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        self.check(x)
        require(x.shape[2] == x.shape[3], f"bottom {tuple(x.shape)} has no square grid")
        require(
            len(self.biases) >= 2 * self.anchors,
            f"{len(self.biases)} biases, wants 2 for each of {self.anchors} boxes",
        )
        if self.softmax_tree and self.tree is None:
            self.tree = read_tree(self.softmax_tree)
            check_classes(self.tree, self.classes, self.softmax_tree)
        if self.tree is not None and bool((label.detach() > ALONE).any()):
            raise UnsupportedError("images of a class alone, without a box, are not learned here")
        with torch.no_grad():
            objects = self.objects(label, x)
            if self.class_map:
                held = read_map(self.class_map)
                objects = objects._replace(label=mapped(objects.label, held, objects.real))
            delta = self._delta(x, objects)
            squares = delta.square()
        return self.result(x, squares, delta, 1 if self.early else x.shape[0])

    def _delta(self, x: Tensor, objects: Objects) -> Tensor:
        images, side, anchors = x.shape[0], x.shape[3], self.anchors
        numbers = self.numbers(x)
        sigmoid = numbers[:, :, [0, 1, 4]].sigmoid()
        slope = sigmoid * (1 - sigmoid)
        sizes = x.new_tensor(self.biases[: 2 * anchors]).reshape(anchors, 2)
        place = torch.arange(side * side, device=x.device)
        corner = torch.stack([place % side, place // side]).to(x.dtype)
        box = torch.cat(
            [
                (corner + sigmoid[:, :, :2]) / side,
                numbers[:, :, 2:4].exp() * sizes[..., None] / side,
            ],
            2,
        ).transpose(2, 3)  # N x A x S S x 4
        delta = torch.zeros_like(numbers)
        delta[:, :, 4] = self.noobject_scale * sigmoid[:, :, 2] * slope[:, :, 2]
        shared = overlaps(box[:, :, :, None], objects.box[:, None, None])
        shared = torch.where(objects.seen[:, None, None], shared, 0)
        if shared.shape[-1]:
            delta[:, :, 4].masked_fill_(shared.amax(-1) > self.thresh, 0)
        if self.early and int(self.counted(x)) <= EARLY_IMAGES // images:
            delta[:, :, :2] = 0.01 * (sigmoid[:, :, :2] - 0.5) * slope[:, :, :2]
            delta[:, :, 2:4] = 0.01 * numbers[:, :, 2:4]
        cell = objects.row * side + objects.column
        anchor = self._anchors(box, objects, cell, sizes / side)
        last = last_of(anchor * side * side + cell, objects.real, anchors * side * side)
        taken = (last >= 0).reshape(images, anchors, 1, -1)
        chosen = last.clamp(min=0)
        truth = objects.box.gather(1, chosen[..., None].expand(-1, -1, 4))
        truth = truth.reshape(images, anchors, -1, 4)
        label = objects.label.gather(1, chosen).reshape(images, anchors, 1, -1)
        # A cell is the object's own, also where its x of 1 leads into the next row.
        held = (part.gather(1, chosen) for part in (objects.column, objects.row))
        column, row = (part.reshape(images, anchors, -1) for part in held)
        scale = self.coord_scale
        weight = (
            scale if self.rescore or self.early else scale * (2 - truth[..., 2] * truth[..., 3])
        )
        own = torch.empty_like(numbers)
        for at, grid in enumerate((column, row)):
            target = truth[..., at] * side - grid
            own[:, :, at] = weight * (sigmoid[:, :, at] - target) * slope[:, :, at]
            size = (truth[..., 2 + at] * side / sizes[:, at, None]).log()
            own[:, :, 2 + at] = weight * (numbers[:, :, 2 + at] - size)
        centre = torch.stack([column, row], -1) + sigmoid[:, :, :2].transpose(2, 3)
        here = torch.cat([centre / side, box[..., 2:]], -1)
        wants = overlaps(here, truth) if self.rescore else torch.ones_like(truth[..., 0])
        own[:, :, 4] = self.object_scale * (sigmoid[:, :, 2] - wants) * slope[:, :, 2]
        if self.tree is not None:
            cells = anchor * side * side + cell
            count = anchors * side * side
            hits = self.tree.learned(objects.label, cells, objects.real, count)
            scores = numbers[:, :, 5:].transpose(2, 3)
            found = self.tree.softmax(scores) - hits.to(x.dtype).reshape(scores.shape)
            own[:, :, 5:] = self.class_scale * found.nan_to_num(0).transpose(2, 3)
            return torch.where(taken, own, delta)
        wanted = torch.arange(self.classes, device=x.device)[:, None] == label
        own[:, :, 5:] = self.class_scale * (numbers[:, :, 5:].softmax(2) - wanted.to(x.dtype))
        return torch.where(taken, own, delta)

    def _anchors(self, box: Tensor, objects: Objects, cell: Tensor, sizes: Tensor) -> Tensor:
        """Return the anchors that the objects are given to, N x T."""
        size = objects.box[:, :, None, 2:]
        if self.bias_match:
            return concentric(sizes, size).argmax(2)
        index = cell.clamp(0, box.shape[2] - 1)[:, None, :, None]
        predicted = box[..., 2:].gather(2, index.expand(-1, box.shape[1], -1, 2))
        return concentric(predicted.transpose(1, 2), size).argmax(2)
